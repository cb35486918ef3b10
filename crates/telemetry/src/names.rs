//! The names of all metrics and log fields. `docs/metrics.md` is made from this file.

/// What a metric is to whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric's name, without the suffixes that the exposition adds, and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric =
                Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )*

        /// Every metric, in the order of the documentation.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    REQUESTS = Counter "tollgate_requests" ["model", "provider", "deployment", "operation"]
        "Requests by operation.";
    ERRORS = Counter "tollgate_errors" ["model", "provider", "deployment", "fault"]
        "Requests that ended in an error, by whose fault it was.";
    RETRIES = Counter "tollgate_retries" ["model", "provider", "deployment"]
        "Attempts beyond the first.";
    TOKENS = Counter "tollgate_tokens" ["model", "provider", "deployment", "meter"]
        "Tokens by meter; no token is in two meters.";
    COST = Counter "tollgate_cost_usd" ["model", "provider", "deployment"]
        "Cost in US dollars; exact figures are in the ledger.";
    UNKNOWN_COST_REQUESTS = Counter "tollgate_unknown_cost_requests" ["model", "provider", "deployment"]
        "Requests whose cost is unknown, because a price is.";
    REQUEST_DURATION = Histogram "tollgate_request_duration_seconds" ["model", "provider", "deployment"]
        "From the request's first byte to the answer's last.";
    TIME_TO_FIRST_TOKEN = Histogram "tollgate_time_to_first_token_seconds" ["model", "provider", "deployment"]
        "From the request's first byte to the first content.";
    REFUSALS = Counter "tollgate_refusals" ["error_kind"]
        "Requests refused before a deployment was chosen, by kind of error.";
    OVERHEAD = Histogram "tollgate_overhead_seconds" []
        "Time spent in Tollgate itself.";
    REQUESTS_IN_FLIGHT = Gauge "tollgate_requests_in_flight" []
        "Requests being served now.";
    CONNECTIONS = Gauge "tollgate_connections" []
        "Open client connections.";

    UPSTREAM_CONNECTIONS_OPENED = Counter "tollgate_upstream_connections_opened" []
        "Connections opened to providers.";
    UPSTREAM_CONNECTIONS_REUSED = Counter "tollgate_upstream_connections_reused" []
        "Requests that found an idle connection.";
    UPSTREAM_REQUESTS_REPLAYED = Counter "tollgate_upstream_requests_replayed" []
        "Requests whose idle connection was dead.";
    UPSTREAM_REQUESTS_REFUSED = Counter "tollgate_upstream_requests_refused" []
        "Requests refused because too many connections were open.";
    UPSTREAM_CONNECTIONS_IDLE = Gauge "tollgate_upstream_connections_idle" []
        "Idle connections to providers.";
    UPSTREAM_CONNECTIONS_IN_USE = Gauge "tollgate_upstream_connections_in_use" []
        "Connections to providers in use.";

    JOURNAL_WRITABLE = Gauge "tollgate_journal_writable" []
        "1 while the journal takes records, else 0.";
    JOURNAL_RECORDS_LOST = Counter "tollgate_journal_records_lost" []
        "Records lost because the disk failed for too long.";
    JOURNAL_LAG_BYTES = Gauge "tollgate_journal_lag_bytes" []
        "Journal bytes that are not yet in the store.";
    JOURNAL_LAG_SECONDS = Gauge "tollgate_journal_lag_seconds" []
        "Age of the oldest record that is not yet in the store.";
    SHIPPER_REQUESTS_SHIPPED = Counter "tollgate_shipper_requests_shipped" []
        "Request records brought into the store.";
    SHIPPER_REQUESTS_INTERRUPTED = Counter "tollgate_shipper_requests_interrupted" []
        "Requests that a dead process left open.";
    SHIPPER_RECORDS_UNREADABLE = Counter "tollgate_shipper_records_unreadable" []
        "Places and records of the journal that could not be read.";

    BUDGET_RESERVATIONS = Counter "tollgate_budget_reservations" []
        "Attempts for which money was reserved on all their budgets.";
    BUDGET_REFUSALS = Counter "tollgate_budget_refusals" []
        "Attempts that a budget could not pay for.";
    BUDGET_UNAVAILABLE = Counter "tollgate_budget_unavailable" []
        "Attempts that could not be decided, because the budgets' store did not answer.";
    BUDGET_EXTENSIONS = Counter "tollgate_budget_extensions" []
        "Reservations that were raised while their attempt ran.";
    BUDGET_EXTENSION_REFUSALS = Counter "tollgate_budget_extension_refusals" []
        "Raises of reservations that a budget could not pay for: the stream was ended.";
    BUDGET_VOIDS = Counter "tollgate_budget_voids" []
        "Reservations that were given up without a charge.";
    BUDGET_CORRECTIONS = Counter "tollgate_budget_corrections" []
        "Settlements, per balance, that charged something else than was reserved.";
    BUDGET_OVERRUNS = Counter "tollgate_budget_overruns" []
        "Settlements, per balance, that charged more than was reserved: an estimate was no bound.";
    BUDGET_VIOLATIONS = Counter "tollgate_budget_violations" []
        "States of balances that cannot be. Anything but zero is a mistake in Tollgate.";
    BUDGET_CUSTOMERS_CROWDED_OUT = Counter "tollgate_budget_customers_crowded_out" []
        "Calls of customers for whom a budget had no room to count them apart.";
    LEDGER_DIFFERENCES = Gauge "tollgate_ledger_differences" []
        "Balances that differed from the usage records at the last nightly look.";
    ALERTS_LOGGED = Counter "tollgate_alerts_logged" []
        "Alerts that this process wrote to its log.";
    WEBHOOK_DELIVERIES = Counter "tollgate_webhook_deliveries" []
        "Events that webhooks' receivers took.";
    WEBHOOK_FAILURES = Counter "tollgate_webhook_failures" []
        "Attempts to deliver an event that failed, those that are tried again among them.";
    WEBHOOK_GIVEN_UP = Counter "tollgate_webhook_given_up" []
        "Events that were given up after the last attempt.";

    SPANS_EXPORTED = Counter "tollgate_spans_exported" []
        "Spans that a trace collector took.";
    SPANS_DROPPED = Counter "tollgate_spans_dropped" []
        "Spans that were dropped: the queue was full, or the collector did not take them.";
    ACCESS_LOG_LINES_DROPPED = Counter "tollgate_access_log_lines_dropped" []
        "Lines of the access log that were dropped because the queue was full.";

    BUILD_INFO = Gauge "tollgate_build_info" ["version"]
        "Always 1; the label says what is running.";
    PROCESS_RESIDENT_MEMORY = Gauge "process_resident_memory_bytes" []
        "Resident memory.";
    PROCESS_CPU = Counter "process_cpu_seconds" []
        "CPU time of all threads, user and system.";
    PROCESS_OPEN_FILES = Gauge "process_open_fds" []
        "Open file descriptors.";
}

/// Fields of log lines.
pub mod log {
    pub const REQUEST_ID: &str = "request_id";
    pub const ORGANIZATION_ID: &str = "organization_id";
    pub const TEAM_ID: &str = "team_id";
    pub const PROJECT_ID: &str = "project_id";
    pub const KEY_ID: &str = "key_id";
    pub const OPERATION: &str = "operation";
    pub const MODEL: &str = "model";
    pub const STREAM: &str = "stream";
    pub const STATUS: &str = "status";
    pub const OUTCOME: &str = "outcome";
    pub const FAULT: &str = "fault";
    pub const ERROR_KIND: &str = "error_kind";
    pub const DEPLOYMENT_ID: &str = "deployment_id";
    pub const ATTEMPTS: &str = "attempts";
    pub const INPUT_TOKENS: &str = "input_tokens";
    pub const OUTPUT_TOKENS: &str = "output_tokens";
    pub const COST_NANOS_USD: &str = "cost_nanos_usd";
    pub const LATENCY_US: &str = "latency_us";
    pub const TIME_TO_FIRST_TOKEN_US: &str = "time_to_first_token_us";
    pub const OVERHEAD_US: &str = "overhead_us";
    pub const TRACE_ID: &str = "trace_id";
}

#[cfg(test)]
mod tests;
