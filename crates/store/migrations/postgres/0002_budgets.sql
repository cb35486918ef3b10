-- Budgets and limits, what was spent, which process may spend how much, and who is told.

ALTER TABLE models ADD COLUMN tags TEXT COLLATE "C" NOT NULL DEFAULT '[]';
ALTER TABLE usage_records ADD COLUMN charges TEXT COLLATE "C";
ALTER TABLE request_records ADD COLUMN refused_by TEXT COLLATE "C";

CREATE TABLE budgets (
    id UUID NOT NULL PRIMARY KEY,
    organization_id UUID NOT NULL REFERENCES organizations (id),
    name TEXT COLLATE "C" NOT NULL,
    place_kind TEXT COLLATE "C" NOT NULL,
    -- The team, key, … that it is for; absent where the place is not an object.
    place_id UUID,
    scope TEXT COLLATE "C" NOT NULL,
    time_window TEXT COLLATE "C" NOT NULL,
    -- No window is longer than this; absent where it never ends.
    longest_window_us BIGINT,
    amount_nano_usd BIGINT NOT NULL,
    mode TEXT COLLATE "C" NOT NULL,
    clamp TEXT COLLATE "C" NOT NULL,
    thresholds_percent TEXT COLLATE "C" NOT NULL,
    on_exhausted TEXT COLLATE "C" NOT NULL,
    unpriced TEXT COLLATE "C" NOT NULL,
    server_tools_nano_usd BIGINT,
    increases TEXT COLLATE "C" NOT NULL,
    enabled BOOLEAN NOT NULL,
    owner TEXT COLLATE "C" NOT NULL CHECK (owner IN ('file', 'api')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);

CREATE UNIQUE INDEX budgets_by_name ON budgets (organization_id, name) WHERE deleted_at IS NULL;
CREATE INDEX budgets_by_organization ON budgets (organization_id, id);
CREATE INDEX budgets_by_place ON budgets (place_id) WHERE deleted_at IS NULL;

CREATE TABLE limits (
    id UUID NOT NULL PRIMARY KEY,
    organization_id UUID NOT NULL REFERENCES organizations (id),
    name TEXT COLLATE "C" NOT NULL,
    place_kind TEXT COLLATE "C" NOT NULL,
    place_id UUID,
    scope TEXT COLLATE "C" NOT NULL,
    meter TEXT COLLATE "C" NOT NULL,
    amount BIGINT NOT NULL,
    period TEXT COLLATE "C" NOT NULL,
    burst BIGINT,
    sharing TEXT COLLATE "C" NOT NULL,
    enabled BOOLEAN NOT NULL,
    owner TEXT COLLATE "C" NOT NULL CHECK (owner IN ('file', 'api')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);

CREATE UNIQUE INDEX limits_by_name ON limits (organization_id, name) WHERE deleted_at IS NULL;
CREATE INDEX limits_by_organization ON limits (organization_id, id);
CREATE INDEX limits_by_place ON limits (place_id) WHERE deleted_at IS NULL;

CREATE TABLE webhooks (
    id UUID NOT NULL PRIMARY KEY,
    organization_id UUID NOT NULL REFERENCES organizations (id),
    name TEXT COLLATE "C" NOT NULL,
    url TEXT COLLATE "C" NOT NULL,
    internal BOOLEAN NOT NULL,
    events TEXT COLLATE "C" NOT NULL,
    sealed_secret BYTEA,
    enabled BOOLEAN NOT NULL,
    owner TEXT COLLATE "C" NOT NULL CHECK (owner IN ('file', 'api')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);

CREATE UNIQUE INDEX webhooks_by_name ON webhooks (organization_id, name) WHERE deleted_at IS NULL;
CREATE INDEX webhooks_by_organization ON webhooks (organization_id, id);

-- Each run of a process; the epoch is the one of its journal.
CREATE TABLE instances (
    instance_id UUID NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    -- Up to this one, its runs were declared lost and may lease nothing.
    lost_epoch BIGINT,
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);

-- What was spent, and what processes may still spend without asking.
CREATE TABLE budget_balances (
    budget_id UUID NOT NULL,
    member TEXT COLLATE "C" NOT NULL,
    window_start BIGINT NOT NULL,
    spent_nano_usd BIGINT NOT NULL CHECK (spent_nano_usd >= 0),
    leased_nano_usd BIGINT NOT NULL CHECK (leased_nano_usd >= 0),
    -- The part of what was spent whose usage records are deleted.
    archived_nano_usd BIGINT NOT NULL CHECK (archived_nano_usd >= 0),
    PRIMARY KEY (budget_id, member, window_start)
);

-- What is outstanding of a balance's leases is, in sum, what it says is leased.
CREATE TABLE budget_leases (
    budget_id UUID NOT NULL,
    member TEXT COLLATE "C" NOT NULL,
    window_start BIGINT NOT NULL,
    instance_id UUID NOT NULL,
    epoch BIGINT NOT NULL,
    -- Of the last operation that changed it; one that comes late changes nothing.
    sequence BIGINT NOT NULL,
    -- All that was granted, less what was given back.
    granted_nano_usd BIGINT NOT NULL,
    -- What the run has spent by what is shipped. While a budget does not refuse, that may be more than was granted; the
    -- part of the grant that is above it is outstanding.
    consumed_nano_usd BIGINT NOT NULL CHECK (consumed_nano_usd >= 0),
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (instance_id, epoch, budget_id, member, window_start)
);

CREATE INDEX budget_leases_by_balance ON budget_leases (budget_id, member, window_start);

-- What somebody decided about a balance; never changed.
CREATE TABLE ledger_entries (
    id UUID NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    budget_id UUID NOT NULL,
    member TEXT COLLATE "C" NOT NULL,
    window_start BIGINT NOT NULL,
    instance_id UUID,
    epoch BIGINT,
    -- Added to what was spent.
    amount_nano_usd BIGINT NOT NULL,
    -- Taken from what was leased.
    released_nano_usd BIGINT NOT NULL,
    reason TEXT COLLATE "C" NOT NULL
);

CREATE INDEX ledger_entries_by_balance ON ledger_entries (budget_id, member, window_start);

CREATE TABLE alerts (
    id UUID NOT NULL PRIMARY KEY,
    organization_id UUID,
    at BIGINT NOT NULL,
    event TEXT COLLATE "C" NOT NULL,
    budget_id UUID,
    member TEXT COLLATE "C",
    window_start BIGINT,
    -- Zero where the event has none, so that it can be part of the key.
    threshold_percent BIGINT NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    logged_at BIGINT
);

CREATE UNIQUE INDEX alerts_once ON alerts (budget_id, member, window_start, event, threshold_percent);
CREATE INDEX alerts_by_organization ON alerts (organization_id, id);
CREATE INDEX alerts_by_time ON alerts (at);
CREATE INDEX alerts_not_logged ON alerts (id) WHERE logged_at IS NULL;

CREATE TABLE alert_deliveries (
    alert_id UUID NOT NULL,
    webhook_id UUID NOT NULL,
    attempts BIGINT NOT NULL,
    -- Absent when nothing is left to do.
    next_at BIGINT,
    delivered_at BIGINT,
    last_error TEXT COLLATE "C",
    PRIMARY KEY (alert_id, webhook_id)
);

CREATE INDEX alert_deliveries_due ON alert_deliveries (next_at) WHERE next_at IS NOT NULL;
