//! How much output an amount pays for: the inverse of the worst case.

use tollgate_core::{NanoUsd, UnixMicros};

use super::{Content, MILLION, PriceList, PriceProblem, ResolvedRow, reachable};
use crate::price::ServiceTier;

impl PriceList {
    /// The most output tokens, of all answers together, with which [`PriceList::worst_case`] is at most `left`: one
    /// more would exceed it. `u64::MAX` where output costs nothing; `None` where not even the prompt is paid for.
    ///
    /// # Errors
    /// Where the worst case of the prompt alone has none.
    pub fn affordable_output_tokens(
        &self,
        max_input: u64,
        tier: Option<ServiceTier>,
        at: UnixMicros,
        left: NanoUsd,
    ) -> Result<Option<u64>, PriceProblem> {
        let Ok(left) = u128::try_from(left.get()) else { return Ok(None) };
        let rows = match &self.content {
            Content::Unknown => return Err(PriceProblem::UnknownPrice),
            Content::Free => return Ok(Some(u64::MAX)),
            Content::Rows(rows) => rows,
        };
        // A sum rounds up to at most `left` exactly when it is at most so many millionths.
        let left_millionths = left * MILLION;
        let mut fewest = None;
        for row in reachable(rows, max_input, tier, at)? {
            let Some(tokens) = row.affordable_output(max_input, left_millionths)? else { return Ok(None) };
            fewest = Some(fewest.map_or(tokens, |fewest: u64| fewest.min(tokens)));
        }
        fewest.map(Some).ok_or(PriceProblem::NotInEffect)
    }
}

impl ResolvedRow {
    fn affordable_output(&self, max_input: u64, left_millionths: u128) -> Result<Option<u64>, PriceProblem> {
        let prompt = self.worst_prompt_millionths(max_input)?;
        let Some(for_output) = left_millionths.checked_sub(prompt) else { return Ok(None) };
        // Without a price no output can be paid for.
        let Some(price) = self.dearest_output() else { return Ok(Some(0)) };
        let tokens = for_output.checked_div(price.times(1)).unwrap_or(u128::MAX);
        Ok(Some(u64::try_from(tokens).unwrap_or(u64::MAX)))
    }
}
