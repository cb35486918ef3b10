//! Prices resolved for one deployment, and the cost of a usage.

mod affordable;
mod version;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use tollgate_core::money::round_up_to_nano_usd;
use tollgate_core::{NanoUsd, NanoUsdPerMillion, TokenUsage, UnixMicros};

pub use version::PriceVersion;

use crate::price::{Meter, Price, PriceRow, ServiceTier, UsdPerRequest};

/// Ten thousand dollars per million tokens. Nothing costs as much; a higher figure is a typing error, and below it
/// no sum of a row leaves 128 bits.
const HIGHEST_PRICE: NanoUsdPerMillion = NanoUsdPerMillion::new(10_000_000_000_000);
/// The same for one request.
const HIGHEST_REQUEST_PRICE: NanoUsd = NanoUsd::new(10_000_000_000_000);
/// Sums are kept in millionths of a nano-USD.
const MILLION: u128 = 1_000_000;

/// What a usage costs, and by which prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Cost {
    pub amount_nano_usd: NanoUsd,
    pub price_version: PriceVersion,
}

/// Why a usage has no cost. None of these may be read as zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PriceProblem {
    #[error("the price of this model is unknown: set `price` on the deployment")]
    UnknownPrice,
    #[error("no price row applies at this time to a prompt of this size: add one")]
    NotInEffect,
    #[error("the `{0}` service tier has no price: add a price row with `service_tier: {0}`")]
    UnknownTier(ServiceTier),
    #[error("`{0}` tokens were used but have no price: add `{0}` to the price row")]
    UnknownMeter(Meter),
    #[error("the cost does not fit into an amount: the token counts cannot be right")]
    TooLarge,
}

/// What is wrong with prices as written. Rows count from 0, like paths in other messages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPrices {
    #[error("a price without rows: write `unknown` or `free`, or give a row")]
    NoRows,
    #[error("[{row}]: prices nothing: give at least `input`, `output` or `per_request`")]
    EmptyRow { row: usize },
    #[error("[{row}].{meter}: more than 10000 dollars per million tokens: prices are not per token")]
    TooHigh { row: usize, meter: Meter },
    #[error("[{row}].per_request: more than 10000 dollars for one request")]
    RequestTooHigh { row: usize },
    #[error("[{row}].effective_until: must be later than effective_from")]
    EmptyPeriod { row: usize },
    #[error("[{row}].input_tokens_up_to: must be greater than input_tokens_above")]
    EmptySizes { row: usize },
    #[error("[{row}]: has the conditions of row [{earlier}] and overlaps it in time")]
    Overlap { row: usize, earlier: usize },
}

/// A row with dates as instants and fallbacks filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ResolvedRow {
    tier: ServiceTier,
    input_tokens_above: Option<u64>,
    input_tokens_up_to: u64,
    from: UnixMicros,
    until: UnixMicros,
    per_request: NanoUsd,
    /// In the order of [`Meter::ALL`].
    prices: [Option<NanoUsdPerMillion>; 6],
}

/// The prices of one deployment. Cheap to ask: a scan over a few sorted rows, without allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceList {
    version: PriceVersion,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Unknown,
    Free,
    /// By tier, the highest threshold first: the first row that applies is the one that counts.
    Rows(Box<[ResolvedRow]>),
}

impl PriceList {
    /// A list that refuses to price anything.
    pub fn unknown() -> Self {
        Self::with(Content::Unknown)
    }

    /// Resolves prices as written. An override replaces the catalogue's prices whole; they are never mixed.
    ///
    /// Two fallbacks are filled in, because providers that publish no such price bill so: `reasoning` costs what
    /// `output` does, and `cache_read` what `input` does. Cache writes have none: they often cost more than input.
    pub fn resolve(price: &Price) -> Result<Self, InvalidPrices> {
        let rows = match price {
            Price::Unknown => return Ok(Self::unknown()),
            Price::Free => return Ok(Self::with(Content::Free)),
            Price::Rows(rows) if rows.is_empty() => return Err(InvalidPrices::NoRows),
            Price::Rows(rows) => rows,
        };
        let mut resolved = Vec::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            let row = ResolvedRow::from_written(index, row)?;
            if let Some(earlier) = resolved.iter().position(|other| row.overlaps(other)) {
                return Err(InvalidPrices::Overlap { row: index, earlier });
            }
            resolved.push(row);
        }
        resolved.sort_by_key(|row| (row.tier, std::cmp::Reverse(row.input_tokens_above), row.from));
        Ok(Self::with(Content::Rows(resolved.into())))
    }

    fn with(content: Content) -> Self {
        Self { version: version::of(&content), content }
    }

    /// Changes exactly when a price or a condition does.
    pub const fn version(&self) -> PriceVersion {
        self.version
    }

    pub const fn is_unknown(&self) -> bool {
        matches!(self.content, Content::Unknown)
    }

    pub const fn is_free(&self) -> bool {
        matches!(self.content, Content::Free)
    }

    /// What an attempt is charged; `None` when nobody knows. Without a tier, when nobody can say at which one it was
    /// served.
    ///
    /// Nothing used and nothing served costs nothing at any price; an attempt that `served` an operation which is
    /// billed (counting tokens is not) pays for its request, whatever it used.
    pub fn charge(
        &self,
        usage: &TokenUsage,
        served: bool,
        tier: Option<ServiceTier>,
        at: UnixMicros,
    ) -> Option<NanoUsd> {
        let is_nothing = usage.is_zero() && !(served && self.charges_requests());
        if is_nothing || self.is_free() {
            return Some(NanoUsd::ZERO);
        }
        Some(self.cost(usage, tier?, at).ok()?.amount_nano_usd)
    }

    /// Whether a request costs something by itself.
    fn charges_requests(&self) -> bool {
        matches!(&self.content, Content::Rows(rows) if rows.iter().any(|row| row.per_request > NanoUsd::ZERO))
    }

    /// The exact cost of a call that used something or was served, rounded up once to nano-USD. `at` is the time of
    /// admission.
    pub fn cost(&self, usage: &TokenUsage, tier: ServiceTier, at: UnixMicros) -> Result<Cost, PriceProblem> {
        let millionths = match &self.content {
            Content::Unknown => return Err(PriceProblem::UnknownPrice),
            Content::Free => 0,
            Content::Rows(rows) => applicable(rows, usage.total_input(), tier, at)?.millionths(usage)?,
        };
        self.priced(millionths)
    }

    /// The most that a call can cost with at most so many prompt tokens and generated tokens, however the prompt
    /// meets the cache. Without a tier, at whichever tier the provider may choose. A tier that has no price for the
    /// largest such prompt has no worst case.
    pub fn worst_case(
        &self,
        max_input: u64,
        max_output: u64,
        tier: Option<ServiceTier>,
        at: UnixMicros,
    ) -> Result<Cost, PriceProblem> {
        let rows = match &self.content {
            Content::Unknown => return Err(PriceProblem::UnknownPrice),
            Content::Free => return self.priced(0),
            Content::Rows(rows) => rows,
        };
        let mut dearest = None;
        for row in reachable(rows, max_input, tier, at)? {
            dearest = dearest.max(Some(row.worst_millionths(max_input, max_output)?));
        }
        self.priced(dearest.ok_or(PriceProblem::NotInEffect)?)
    }

    fn priced(&self, millionths: u128) -> Result<Cost, PriceProblem> {
        let amount_nano_usd = round_up_to_nano_usd(millionths).ok_or(PriceProblem::TooLarge)?;
        Ok(Cost { amount_nano_usd, price_version: self.version })
    }
}

fn applicable(
    rows: &[ResolvedRow],
    total_input: u64,
    tier: ServiceTier,
    at: UnixMicros,
) -> Result<&ResolvedRow, PriceProblem> {
    let mut of_tier = rows.iter().filter(|row| row.tier == tier).peekable();
    if of_tier.peek().is_none() {
        return Err(PriceProblem::UnknownTier(tier));
    }
    of_tier.find(|row| row.applies(total_input, at)).ok_or(PriceProblem::NotInEffect)
}

/// The rows by which a call with at most so many prompt tokens may be priced.
fn reachable(
    rows: &[ResolvedRow],
    max_input: u64,
    tier: Option<ServiceTier>,
    at: UnixMicros,
) -> Result<impl Iterator<Item = &ResolvedRow>, PriceProblem> {
    if let Some(tier) = tier {
        applicable(rows, max_input, tier, at)?;
    }
    Ok(rows
        .iter()
        .filter(move |row| tier.is_none_or(|tier| row.tier == tier) && row.reachable(max_input, at)))
}

impl ResolvedRow {
    fn from_written(index: usize, row: &PriceRow) -> Result<Self, InvalidPrices> {
        let written = Meter::ALL.map(|meter| row.written(meter).map(|price| price.0));
        let prices_no_tokens = written.iter().all(Option::is_none);
        if prices_no_tokens && row.per_request.is_none() {
            return Err(InvalidPrices::EmptyRow { row: index });
        }
        let per_request = row.per_request.map_or(NanoUsd::ZERO, UsdPerRequest::get);
        if per_request > HIGHEST_REQUEST_PRICE {
            return Err(InvalidPrices::RequestTooHigh { row: index });
        }
        let too_high = Meter::ALL.into_iter().zip(written).find(|(_, price)| *price > Some(HIGHEST_PRICE));
        if let Some((meter, _)) = too_high {
            return Err(InvalidPrices::TooHigh { row: index, meter });
        }
        let from = row.effective_from.map_or(UnixMicros(i64::MIN), start_of_day);
        let until = row.effective_until.map_or(UnixMicros(i64::MAX), start_of_day);
        if until <= from {
            return Err(InvalidPrices::EmptyPeriod { row: index });
        }
        let input_tokens_up_to = row.input_tokens_up_to.unwrap_or(u64::MAX);
        if row.input_tokens_above.is_some_and(|above| above >= input_tokens_up_to) {
            return Err(InvalidPrices::EmptySizes { row: index });
        }
        let [input, cache_read, cache_write, cache_write_long, output, reasoning] = written;
        let prices = if prices_no_tokens {
            [Some(NanoUsdPerMillion::default()); 6]
        } else {
            [input, cache_read.or(input), cache_write, cache_write_long, output, reasoning.or(output)]
        };
        Ok(Self {
            tier: row.service_tier,
            input_tokens_above: row.input_tokens_above,
            input_tokens_up_to,
            from,
            until,
            per_request,
            prices,
        })
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.tier == other.tier
            && self.input_tokens_above == other.input_tokens_above
            && self.from < other.until
            && other.from < self.until
    }

    fn applies(&self, total_input: u64, at: UnixMicros) -> bool {
        total_input <= self.input_tokens_up_to && self.reachable(total_input, at)
    }

    /// Whether the row may apply to some request with at most so many prompt tokens.
    fn reachable(&self, total_input: u64, at: UnixMicros) -> bool {
        self.input_tokens_above.is_none_or(|threshold| total_input > threshold)
            && self.from <= at
            && at < self.until
    }

    /// Nano-USD times a million, exact.
    fn millionths(&self, usage: &TokenUsage) -> Result<u128, PriceProblem> {
        let counts = [
            usage.input,
            usage.cache_read,
            usage.cache_write,
            usage.cache_write_long,
            usage.output,
            usage.reasoning,
        ];
        let mut sum = self.request_millionths();
        for ((count, price), meter) in counts.into_iter().zip(self.prices).zip(Meter::ALL) {
            match price {
                Some(price) => sum += price.times(count),
                None if count == 0 => {}
                None => return Err(PriceProblem::UnknownMeter(meter)),
            }
        }
        Ok(sum)
    }

    fn request_millionths(&self) -> u128 {
        u128::from(self.per_request.get().unsigned_abs()) * MILLION
    }

    fn worst_millionths(&self, max_input: u64, max_output: u64) -> Result<u128, PriceProblem> {
        let output = times(self.dearest_output(), max_output, Meter::Output)?;
        Ok(self.worst_prompt_millionths(max_input)? + output)
    }

    /// The request and its prompt, however that meets the cache.
    fn worst_prompt_millionths(&self, max_input: u64) -> Result<u128, PriceProblem> {
        let [input, cache_read, cache_write, cache_write_long, ..] = self.prices;
        let dearest = [input, cache_read, cache_write, cache_write_long].into_iter().flatten().max();
        Ok(self.request_millionths() + times(dearest, max_input, Meter::Input)?)
    }

    fn dearest_output(&self) -> Option<NanoUsdPerMillion> {
        let [.., output, reasoning] = self.prices;
        output.max(reasoning)
    }
}

fn times(price: Option<NanoUsdPerMillion>, units: u64, meter: Meter) -> Result<u128, PriceProblem> {
    match price {
        Some(price) => Ok(price.times(units)),
        None if units == 0 => Ok(0),
        None => Err(PriceProblem::UnknownMeter(meter)),
    }
}

/// Midnight UTC; dates beyond the range of instants stand for its end.
fn start_of_day(date: Date) -> UnixMicros {
    let instant = date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp().as_microsecond());
    UnixMicros(instant.unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
