-- Ids are UUIDs, times are microseconds since 1970, money is nano-USD. The SQLite folder has a file of the
-- same name with the same tables and columns.

CREATE TABLE versions (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL
);

INSERT INTO versions (id, version) VALUES (1, 0);

CREATE TABLE changes (
    version BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    object_id UUID NOT NULL,
    deleted BOOLEAN NOT NULL,
    PRIMARY KEY (version, kind, object_id)
);

CREATE TABLE settings (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

CREATE TABLE admin_tokens (
    id UUID NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    hash BYTEA NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);

CREATE TABLE audit_events (
    id UUID NOT NULL PRIMARY KEY,
    organization_id UUID,
    at BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    target_kind TEXT COLLATE "C" NOT NULL,
    target_id UUID NOT NULL,
    target_name TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    before TEXT COLLATE "C",
    after TEXT COLLATE "C"
);

CREATE INDEX audit_events_by_organization ON audit_events (organization_id, id);

CREATE TABLE organizations (
    id UUID NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    deleted_at BIGINT
);

CREATE UNIQUE INDEX organizations_by_name ON organizations (name) WHERE deleted_at IS NULL;

CREATE TABLE teams (
    id UUID NOT NULL PRIMARY KEY,
    organization_id UUID NOT NULL REFERENCES organizations (id),
    name TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    deleted_at BIGINT
);

CREATE UNIQUE INDEX teams_by_name ON teams (organization_id, name) WHERE deleted_at IS NULL;
CREATE INDEX teams_by_organization ON teams (organization_id, id);

CREATE TABLE projects (
    id UUID NOT NULL PRIMARY KEY,
    organization_id UUID NOT NULL REFERENCES organizations (id),
    team_id UUID NOT NULL REFERENCES teams (id),
    name TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    deleted_at BIGINT
);

CREATE UNIQUE INDEX projects_by_name ON projects (organization_id, name) WHERE deleted_at IS NULL;
CREATE INDEX projects_by_organization ON projects (organization_id, id);
CREATE INDEX projects_by_team ON projects (team_id);

CREATE TABLE providers (
    id UUID NOT NULL PRIMARY KEY,
    organization_id UUID NOT NULL REFERENCES organizations (id),
    name TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    base_url TEXT COLLATE "C",
    sealed_secret BYTEA,
    secret_hint TEXT COLLATE "C",
    region TEXT COLLATE "C",
    internal BOOLEAN NOT NULL,
    timeouts TEXT COLLATE "C" NOT NULL,
    discovered_models TEXT COLLATE "C" NOT NULL,
    enabled BOOLEAN NOT NULL,
    owner TEXT COLLATE "C" NOT NULL CHECK (owner IN ('file', 'api')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);

CREATE UNIQUE INDEX providers_by_name ON providers (organization_id, name) WHERE deleted_at IS NULL;
CREATE INDEX providers_by_organization ON providers (organization_id, id);

CREATE TABLE models (
    id UUID NOT NULL PRIMARY KEY,
    organization_id UUID NOT NULL REFERENCES organizations (id),
    name TEXT COLLATE "C" NOT NULL,
    open BOOLEAN NOT NULL,
    enabled BOOLEAN NOT NULL,
    owner TEXT COLLATE "C" NOT NULL CHECK (owner IN ('file', 'api')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);

CREATE UNIQUE INDEX models_by_name ON models (organization_id, name) WHERE deleted_at IS NULL;
CREATE INDEX models_by_organization ON models (organization_id, id);

CREATE TABLE deployments (
    id UUID NOT NULL PRIMARY KEY,
    organization_id UUID NOT NULL REFERENCES organizations (id),
    model_id UUID NOT NULL REFERENCES models (id),
    provider_id UUID NOT NULL REFERENCES providers (id),
    position BIGINT NOT NULL,
    upstream_model TEXT COLLATE "C",
    weight BIGINT NOT NULL CHECK (weight >= 0),
    price TEXT COLLATE "C",
    timeouts TEXT COLLATE "C" NOT NULL,
    enabled BOOLEAN NOT NULL,
    deleted_at BIGINT
);

CREATE INDEX deployments_by_model ON deployments (model_id);
CREATE INDEX deployments_by_provider ON deployments (provider_id);

CREATE TABLE keys (
    id UUID NOT NULL PRIMARY KEY,
    organization_id UUID NOT NULL REFERENCES organizations (id),
    team_id UUID REFERENCES teams (id),
    project_id UUID REFERENCES projects (id),
    name TEXT COLLATE "C" NOT NULL,
    grants TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    created_at BIGINT NOT NULL,
    CHECK ((team_id IS NULL) <> (project_id IS NULL))
);

CREATE UNIQUE INDEX keys_by_name ON keys (organization_id, name) WHERE revoked_at IS NULL;
CREATE INDEX keys_by_organization ON keys (organization_id, id);
CREATE INDEX keys_by_team ON keys (team_id, id);
CREATE INDEX keys_by_project ON keys (project_id, id);

CREATE TABLE credentials (
    id UUID NOT NULL PRIMARY KEY,
    organization_id UUID NOT NULL REFERENCES organizations (id),
    key_id UUID NOT NULL REFERENCES keys (id),
    lookup TEXT COLLATE "C" NOT NULL UNIQUE,
    algorithm TEXT COLLATE "C" NOT NULL,
    pepper_version BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    created_at BIGINT NOT NULL
);

CREATE INDEX credentials_by_key ON credentials (key_id);

-- Whatever code does, a revoked key or credential stays dead.
CREATE FUNCTION stay_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
        RAISE EXCEPTION 'what is revoked stays revoked';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER keys_stay_revoked BEFORE UPDATE ON keys FOR EACH ROW EXECUTE FUNCTION stay_revoked();

CREATE TRIGGER credentials_stay_revoked BEFORE UPDATE ON credentials FOR EACH ROW EXECUTE FUNCTION stay_revoked();

CREATE TABLE provider_objects (
    organization_id UUID NOT NULL,
    object_id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    team_id UUID,
    project_id UUID,
    key_id UUID,
    deployment_id UUID NOT NULL,
    request_id UUID NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, object_id)
);

CREATE TABLE shipping_positions (
    instance_id UUID NOT NULL,
    core BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    stream_offset BIGINT NOT NULL,
    floor_epoch BIGINT NOT NULL,
    floor_offset BIGINT NOT NULL,
    shipped_at BIGINT NOT NULL,
    PRIMARY KEY (instance_id, core)
);

CREATE TABLE request_records (
    request_id UUID NOT NULL PRIMARY KEY,
    organization_id UUID NOT NULL,
    team_id UUID,
    project_id UUID,
    key_id UUID,
    credential_id UUID,
    user_id UUID,
    service_account_id UUID,
    instance_id UUID NOT NULL,
    parent_id UUID,
    started_at BIGINT NOT NULL,
    operation TEXT COLLATE "C" NOT NULL,
    client_dialect TEXT COLLATE "C" NOT NULL,
    upstream_dialect TEXT COLLATE "C",
    model TEXT COLLATE "C" NOT NULL,
    model_id UUID,
    deployment_id UUID,
    provider_id UUID,
    region TEXT COLLATE "C",
    status BIGINT NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    fault TEXT COLLATE "C",
    error_kind TEXT COLLATE "C",
    stream BOOLEAN NOT NULL,
    finish_reason TEXT COLLATE "C",
    tokens_input BIGINT NOT NULL,
    tokens_cache_read BIGINT NOT NULL,
    tokens_cache_write BIGINT NOT NULL,
    tokens_cache_write_long BIGINT NOT NULL,
    tokens_output BIGINT NOT NULL,
    tokens_reasoning BIGINT NOT NULL,
    usage_source TEXT COLLATE "C" NOT NULL,
    cost_nanos_usd BIGINT,
    price_version BIGINT,
    latency_us BIGINT NOT NULL,
    time_to_first_token_us BIGINT,
    overhead_us BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    served_from TEXT COLLATE "C",
    customer TEXT COLLATE "C",
    detail TEXT COLLATE "C" NOT NULL
);

CREATE INDEX request_records_by_time ON request_records (organization_id, started_at);
CREATE INDEX request_records_by_key ON request_records (organization_id, key_id, started_at);
CREATE INDEX request_records_by_stream ON request_records (organization_id, stream, started_at);
CREATE INDEX request_records_by_error ON request_records (organization_id, started_at) WHERE status >= 400;

CREATE TABLE usage_records (
    request_id UUID NOT NULL,
    attempt BIGINT NOT NULL,
    organization_id UUID NOT NULL,
    deployment_id UUID NOT NULL,
    provider_id UUID NOT NULL,
    upstream_model TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C",
    started_at BIGINT NOT NULL,
    status BIGINT NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    error_kind TEXT COLLATE "C",
    served BOOLEAN NOT NULL,
    tokens_input BIGINT NOT NULL,
    tokens_cache_read BIGINT NOT NULL,
    tokens_cache_write BIGINT NOT NULL,
    tokens_cache_write_long BIGINT NOT NULL,
    tokens_output BIGINT NOT NULL,
    tokens_reasoning BIGINT NOT NULL,
    usage_source TEXT COLLATE "C" NOT NULL,
    cost_nanos_usd BIGINT,
    price_version BIGINT,
    latency_us BIGINT NOT NULL,
    time_to_first_token_us BIGINT,
    upstream_request_id TEXT COLLATE "C",
    PRIMARY KEY (request_id, attempt)
);

-- Absent ids are the nil UUID here, so that they can be part of the key.
CREATE TABLE usage_hourly (
    organization_id UUID NOT NULL,
    hour BIGINT NOT NULL,
    team_id UUID NOT NULL,
    project_id UUID NOT NULL,
    key_id UUID NOT NULL,
    model TEXT COLLATE "C" NOT NULL,
    provider_id UUID NOT NULL,
    deployment_id UUID NOT NULL,
    operation TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    requests BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    tokens_input BIGINT NOT NULL,
    tokens_cache_read BIGINT NOT NULL,
    tokens_cache_write BIGINT NOT NULL,
    tokens_cache_write_long BIGINT NOT NULL,
    tokens_output BIGINT NOT NULL,
    tokens_reasoning BIGINT NOT NULL,
    cost_nanos_usd BIGINT NOT NULL,
    max_cost_nanos_usd BIGINT NOT NULL,
    unknown_cost_requests BIGINT NOT NULL,
    latency_us BIGINT NOT NULL,
    time_to_first_token_us BIGINT NOT NULL,
    time_to_first_token_count BIGINT NOT NULL,
    PRIMARY KEY (organization_id, hour, team_id, project_id, key_id, model, provider_id, deployment_id, operation,
        outcome)
);

-- The same sums for whole days of UTC: long ranges read these, and hours only at their ends.
CREATE TABLE usage_daily (
    organization_id UUID NOT NULL,
    day BIGINT NOT NULL,
    team_id UUID NOT NULL,
    project_id UUID NOT NULL,
    key_id UUID NOT NULL,
    model TEXT COLLATE "C" NOT NULL,
    provider_id UUID NOT NULL,
    deployment_id UUID NOT NULL,
    operation TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    requests BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    tokens_input BIGINT NOT NULL,
    tokens_cache_read BIGINT NOT NULL,
    tokens_cache_write BIGINT NOT NULL,
    tokens_cache_write_long BIGINT NOT NULL,
    tokens_output BIGINT NOT NULL,
    tokens_reasoning BIGINT NOT NULL,
    cost_nanos_usd BIGINT NOT NULL,
    max_cost_nanos_usd BIGINT NOT NULL,
    unknown_cost_requests BIGINT NOT NULL,
    latency_us BIGINT NOT NULL,
    time_to_first_token_us BIGINT NOT NULL,
    time_to_first_token_count BIGINT NOT NULL,
    PRIMARY KEY (organization_id, day, team_id, project_id, key_id, model, provider_id, deployment_id, operation,
        outcome)
);
