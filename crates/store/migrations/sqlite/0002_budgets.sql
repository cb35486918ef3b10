-- Budgets and limits, what was spent, which process may spend how much, and who is told.

ALTER TABLE models ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE usage_records ADD COLUMN charges TEXT;
ALTER TABLE request_records ADD COLUMN refused_by TEXT;

CREATE TABLE budgets (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    place_kind TEXT NOT NULL,
    -- The team, key, … that it is for; absent where the place is not an object.
    place_id BLOB,
    scope TEXT NOT NULL,
    time_window TEXT NOT NULL,
    -- No window is longer than this; absent where it never ends.
    longest_window_us INTEGER,
    amount_nano_usd INTEGER NOT NULL,
    mode TEXT NOT NULL,
    clamp TEXT NOT NULL,
    thresholds_percent TEXT NOT NULL,
    on_exhausted TEXT NOT NULL,
    unpriced TEXT NOT NULL,
    server_tools_nano_usd INTEGER,
    increases TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    owner TEXT NOT NULL CHECK (owner IN ('file', 'api')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;

CREATE UNIQUE INDEX budgets_by_name ON budgets (organization_id, name) WHERE deleted_at IS NULL;
CREATE INDEX budgets_by_organization ON budgets (organization_id, id);
CREATE INDEX budgets_by_place ON budgets (place_id) WHERE deleted_at IS NULL;

CREATE TABLE limits (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    place_kind TEXT NOT NULL,
    place_id BLOB,
    scope TEXT NOT NULL,
    meter TEXT NOT NULL,
    amount INTEGER NOT NULL,
    period TEXT NOT NULL,
    burst INTEGER,
    sharing TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    owner TEXT NOT NULL CHECK (owner IN ('file', 'api')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;

CREATE UNIQUE INDEX limits_by_name ON limits (organization_id, name) WHERE deleted_at IS NULL;
CREATE INDEX limits_by_organization ON limits (organization_id, id);
CREATE INDEX limits_by_place ON limits (place_id) WHERE deleted_at IS NULL;

CREATE TABLE webhooks (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    internal INTEGER NOT NULL,
    events TEXT NOT NULL,
    sealed_secret BLOB,
    enabled INTEGER NOT NULL,
    owner TEXT NOT NULL CHECK (owner IN ('file', 'api')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;

CREATE UNIQUE INDEX webhooks_by_name ON webhooks (organization_id, name) WHERE deleted_at IS NULL;
CREATE INDEX webhooks_by_organization ON webhooks (organization_id, id);

-- Each run of a process; the epoch is the one of its journal.
CREATE TABLE instances (
    instance_id BLOB NOT NULL PRIMARY KEY,
    epoch INTEGER NOT NULL,
    -- Up to this one, its runs were declared lost and may lease nothing.
    lost_epoch INTEGER,
    started_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What was spent, and what processes may still spend without asking.
CREATE TABLE budget_balances (
    budget_id BLOB NOT NULL,
    member TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    spent_nano_usd INTEGER NOT NULL CHECK (spent_nano_usd >= 0),
    leased_nano_usd INTEGER NOT NULL CHECK (leased_nano_usd >= 0),
    -- The part of what was spent whose usage records are deleted.
    archived_nano_usd INTEGER NOT NULL CHECK (archived_nano_usd >= 0),
    PRIMARY KEY (budget_id, member, window_start)
) STRICT, WITHOUT ROWID;

-- What is outstanding of a balance's leases is, in sum, what it says is leased.
CREATE TABLE budget_leases (
    budget_id BLOB NOT NULL,
    member TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    instance_id BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    -- Of the last operation that changed it; one that comes late changes nothing.
    sequence INTEGER NOT NULL,
    -- All that was granted, less what was given back.
    granted_nano_usd INTEGER NOT NULL,
    -- What the run has spent by what is shipped. While a budget does not refuse, that may be more than was granted; the
    -- part of the grant that is above it is outstanding.
    consumed_nano_usd INTEGER NOT NULL CHECK (consumed_nano_usd >= 0),
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, epoch, budget_id, member, window_start)
) STRICT, WITHOUT ROWID;

CREATE INDEX budget_leases_by_balance ON budget_leases (budget_id, member, window_start);

-- What somebody decided about a balance; never changed.
CREATE TABLE ledger_entries (
    id BLOB NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    budget_id BLOB NOT NULL,
    member TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    instance_id BLOB,
    epoch INTEGER,
    -- Added to what was spent.
    amount_nano_usd INTEGER NOT NULL,
    -- Taken from what was leased.
    released_nano_usd INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;

CREATE INDEX ledger_entries_by_balance ON ledger_entries (budget_id, member, window_start);

CREATE TABLE alerts (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB,
    at INTEGER NOT NULL,
    event TEXT NOT NULL,
    budget_id BLOB,
    member TEXT,
    window_start INTEGER,
    -- Zero where the event has none, so that it can be part of the key.
    threshold_percent INTEGER NOT NULL,
    body TEXT NOT NULL,
    logged_at INTEGER
) STRICT;

CREATE UNIQUE INDEX alerts_once ON alerts (budget_id, member, window_start, event, threshold_percent);
CREATE INDEX alerts_by_organization ON alerts (organization_id, id);
CREATE INDEX alerts_by_time ON alerts (at);
CREATE INDEX alerts_not_logged ON alerts (id) WHERE logged_at IS NULL;

CREATE TABLE alert_deliveries (
    alert_id BLOB NOT NULL,
    webhook_id BLOB NOT NULL,
    attempts INTEGER NOT NULL,
    -- Absent when nothing is left to do.
    next_at INTEGER,
    delivered_at INTEGER,
    last_error TEXT,
    PRIMARY KEY (alert_id, webhook_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX alert_deliveries_due ON alert_deliveries (next_at) WHERE next_at IS NOT NULL;
