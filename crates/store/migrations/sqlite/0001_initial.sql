-- Ids are 16 bytes, times are microseconds since 1970, money is nano-USD. The PostgreSQL folder has a file of the
-- same name with the same tables and columns.

CREATE TABLE versions (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL
) STRICT;

INSERT INTO versions (id, version) VALUES (1, 0);

CREATE TABLE changes (
    version INTEGER NOT NULL,
    kind TEXT NOT NULL,
    object_id BLOB NOT NULL,
    deleted INTEGER NOT NULL,
    PRIMARY KEY (version, kind, object_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE admin_tokens (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT;

CREATE TABLE audit_events (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target_kind TEXT NOT NULL,
    target_id BLOB NOT NULL,
    target_name TEXT NOT NULL,
    version INTEGER NOT NULL,
    before TEXT,
    after TEXT
) STRICT;

CREATE INDEX audit_events_by_organization ON audit_events (organization_id, id);

CREATE TABLE organizations (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;

CREATE UNIQUE INDEX organizations_by_name ON organizations (name) WHERE deleted_at IS NULL;

CREATE TABLE teams (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;

CREATE UNIQUE INDEX teams_by_name ON teams (organization_id, name) WHERE deleted_at IS NULL;
CREATE INDEX teams_by_organization ON teams (organization_id, id);

CREATE TABLE projects (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    team_id BLOB NOT NULL REFERENCES teams (id),
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;

CREATE UNIQUE INDEX projects_by_name ON projects (organization_id, name) WHERE deleted_at IS NULL;
CREATE INDEX projects_by_organization ON projects (organization_id, id);
CREATE INDEX projects_by_team ON projects (team_id);

CREATE TABLE providers (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    base_url TEXT,
    sealed_secret BLOB,
    secret_hint TEXT,
    region TEXT,
    internal INTEGER NOT NULL,
    timeouts TEXT NOT NULL,
    discovered_models TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    owner TEXT NOT NULL CHECK (owner IN ('file', 'api')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;

CREATE UNIQUE INDEX providers_by_name ON providers (organization_id, name) WHERE deleted_at IS NULL;
CREATE INDEX providers_by_organization ON providers (organization_id, id);

CREATE TABLE models (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    open INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    owner TEXT NOT NULL CHECK (owner IN ('file', 'api')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;

CREATE UNIQUE INDEX models_by_name ON models (organization_id, name) WHERE deleted_at IS NULL;
CREATE INDEX models_by_organization ON models (organization_id, id);

CREATE TABLE deployments (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    model_id BLOB NOT NULL REFERENCES models (id),
    provider_id BLOB NOT NULL REFERENCES providers (id),
    position INTEGER NOT NULL,
    upstream_model TEXT,
    weight INTEGER NOT NULL CHECK (weight >= 0),
    price TEXT,
    timeouts TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;

CREATE INDEX deployments_by_model ON deployments (model_id);
CREATE INDEX deployments_by_provider ON deployments (provider_id);

CREATE TABLE keys (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    team_id BLOB REFERENCES teams (id),
    project_id BLOB REFERENCES projects (id),
    name TEXT NOT NULL,
    grants TEXT NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    created_at INTEGER NOT NULL,
    CHECK ((team_id IS NULL) <> (project_id IS NULL))
) STRICT;

CREATE UNIQUE INDEX keys_by_name ON keys (organization_id, name) WHERE revoked_at IS NULL;
CREATE INDEX keys_by_organization ON keys (organization_id, id);
CREATE INDEX keys_by_team ON keys (team_id, id);
CREATE INDEX keys_by_project ON keys (project_id, id);

CREATE TABLE credentials (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    key_id BLOB NOT NULL REFERENCES keys (id),
    lookup TEXT NOT NULL UNIQUE,
    algorithm TEXT NOT NULL,
    pepper_version INTEGER NOT NULL,
    hash BLOB NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX credentials_by_key ON credentials (key_id);

-- Whatever code does, a revoked key or credential stays dead.
CREATE TRIGGER keys_stay_revoked BEFORE UPDATE ON keys
WHEN OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NOT OLD.revoked_at
BEGIN SELECT RAISE(ABORT, 'a revoked key stays revoked'); END;

CREATE TRIGGER credentials_stay_revoked BEFORE UPDATE ON credentials
WHEN OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NOT OLD.revoked_at
BEGIN SELECT RAISE(ABORT, 'a revoked credential stays revoked'); END;

CREATE TABLE provider_objects (
    organization_id BLOB NOT NULL,
    object_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    team_id BLOB,
    project_id BLOB,
    key_id BLOB,
    deployment_id BLOB NOT NULL,
    request_id BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (organization_id, object_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE shipping_positions (
    instance_id BLOB NOT NULL,
    core INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    stream_offset INTEGER NOT NULL,
    floor_epoch INTEGER NOT NULL,
    floor_offset INTEGER NOT NULL,
    shipped_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, core)
) STRICT, WITHOUT ROWID;

CREATE TABLE request_records (
    request_id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL,
    team_id BLOB,
    project_id BLOB,
    key_id BLOB,
    credential_id BLOB,
    user_id BLOB,
    service_account_id BLOB,
    instance_id BLOB NOT NULL,
    parent_id BLOB,
    started_at INTEGER NOT NULL,
    operation TEXT NOT NULL,
    client_dialect TEXT NOT NULL,
    upstream_dialect TEXT,
    model TEXT NOT NULL,
    model_id BLOB,
    deployment_id BLOB,
    provider_id BLOB,
    region TEXT,
    status INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    fault TEXT,
    error_kind TEXT,
    stream INTEGER NOT NULL,
    finish_reason TEXT,
    tokens_input INTEGER NOT NULL,
    tokens_cache_read INTEGER NOT NULL,
    tokens_cache_write INTEGER NOT NULL,
    tokens_cache_write_long INTEGER NOT NULL,
    tokens_output INTEGER NOT NULL,
    tokens_reasoning INTEGER NOT NULL,
    usage_source TEXT NOT NULL,
    cost_nanos_usd INTEGER,
    price_version INTEGER,
    latency_us INTEGER NOT NULL,
    time_to_first_token_us INTEGER,
    overhead_us INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    served_from TEXT,
    customer TEXT,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX request_records_by_time ON request_records (organization_id, started_at);
CREATE INDEX request_records_by_key ON request_records (organization_id, key_id, started_at);
CREATE INDEX request_records_by_stream ON request_records (organization_id, stream, started_at);
CREATE INDEX request_records_by_error ON request_records (organization_id, started_at) WHERE status >= 400;

CREATE TABLE usage_records (
    request_id BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    organization_id BLOB NOT NULL,
    deployment_id BLOB NOT NULL,
    provider_id BLOB NOT NULL,
    upstream_model TEXT NOT NULL,
    region TEXT,
    started_at INTEGER NOT NULL,
    status INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    error_kind TEXT,
    served INTEGER NOT NULL,
    tokens_input INTEGER NOT NULL,
    tokens_cache_read INTEGER NOT NULL,
    tokens_cache_write INTEGER NOT NULL,
    tokens_cache_write_long INTEGER NOT NULL,
    tokens_output INTEGER NOT NULL,
    tokens_reasoning INTEGER NOT NULL,
    usage_source TEXT NOT NULL,
    cost_nanos_usd INTEGER,
    price_version INTEGER,
    latency_us INTEGER NOT NULL,
    time_to_first_token_us INTEGER,
    upstream_request_id TEXT,
    PRIMARY KEY (request_id, attempt)
) STRICT, WITHOUT ROWID;

-- Absent ids are sixteen zero bytes here, so that they can be part of the key.
CREATE TABLE usage_hourly (
    organization_id BLOB NOT NULL,
    hour INTEGER NOT NULL,
    team_id BLOB NOT NULL,
    project_id BLOB NOT NULL,
    key_id BLOB NOT NULL,
    model TEXT NOT NULL,
    provider_id BLOB NOT NULL,
    deployment_id BLOB NOT NULL,
    operation TEXT NOT NULL,
    outcome TEXT NOT NULL,
    requests INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    tokens_input INTEGER NOT NULL,
    tokens_cache_read INTEGER NOT NULL,
    tokens_cache_write INTEGER NOT NULL,
    tokens_cache_write_long INTEGER NOT NULL,
    tokens_output INTEGER NOT NULL,
    tokens_reasoning INTEGER NOT NULL,
    cost_nanos_usd INTEGER NOT NULL,
    max_cost_nanos_usd INTEGER NOT NULL,
    unknown_cost_requests INTEGER NOT NULL,
    latency_us INTEGER NOT NULL,
    time_to_first_token_us INTEGER NOT NULL,
    time_to_first_token_count INTEGER NOT NULL,
    PRIMARY KEY (organization_id, hour, team_id, project_id, key_id, model, provider_id, deployment_id, operation,
        outcome)
) STRICT, WITHOUT ROWID;

-- The same sums for whole days of UTC: long ranges read these, and hours only at their ends.
CREATE TABLE usage_daily (
    organization_id BLOB NOT NULL,
    day INTEGER NOT NULL,
    team_id BLOB NOT NULL,
    project_id BLOB NOT NULL,
    key_id BLOB NOT NULL,
    model TEXT NOT NULL,
    provider_id BLOB NOT NULL,
    deployment_id BLOB NOT NULL,
    operation TEXT NOT NULL,
    outcome TEXT NOT NULL,
    requests INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    tokens_input INTEGER NOT NULL,
    tokens_cache_read INTEGER NOT NULL,
    tokens_cache_write INTEGER NOT NULL,
    tokens_cache_write_long INTEGER NOT NULL,
    tokens_output INTEGER NOT NULL,
    tokens_reasoning INTEGER NOT NULL,
    cost_nanos_usd INTEGER NOT NULL,
    max_cost_nanos_usd INTEGER NOT NULL,
    unknown_cost_requests INTEGER NOT NULL,
    latency_us INTEGER NOT NULL,
    time_to_first_token_us INTEGER NOT NULL,
    time_to_first_token_count INTEGER NOT NULL,
    PRIMARY KEY (organization_id, day, team_id, project_id, key_id, model, provider_id, deployment_id, operation,
        outcome)
) STRICT, WITHOUT ROWID;
