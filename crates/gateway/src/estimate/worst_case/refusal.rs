//! How a call without a bound is refused.

use std::fmt;

use tollgate_catalog::ExtraCharge;

use super::Unbounded;

impl Unbounded {
    /// The word under which it is counted and told.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoPrice(_) => "price_unknown",
            Self::NoMaximumInput => "input_not_bounded",
            Self::NoMaximumOutput => "output_not_bounded",
            Self::ServerTools => "server_tools_not_budgeted",
            Self::ExtraCharge(_) => "extra_charge_not_priced",
            Self::OtherModels => "other_models_not_priced",
        }
    }

    /// The request field at fault, where there is one.
    pub const fn param(&self) -> Option<&'static str> {
        match self {
            Self::ServerTools => Some("tools"),
            Self::OtherModels => Some("models"),
            Self::ExtraCharge(ExtraCharge::Speed) => Some("speed"),
            Self::ExtraCharge(ExtraCharge::Residency) => Some("inference_geo"),
            _ => None,
        }
    }
}

/// What is wrong and what to change, as the end of a sentence about the budget.
impl fmt::Display for Unbounded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPrice(problem) => write!(formatter, "{problem}"),
            Self::NoMaximumInput => formatter.write_str(
                "the prompt is not all text in the request, and the model's largest prompt is not known: send text, \
                 or use a model that the catalogue has limits of",
            ),
            Self::NoMaximumOutput => formatter
                .write_str("nothing limits the answer: set an output cap such as `max_tokens` in the request"),
            Self::ServerTools => formatter.write_str(
                "tools that the provider runs (web search, code) can cost anything: leave them out, or ask for \
                 `server_tools_nano_usd` to be set on the budget",
            ),
            Self::ExtraCharge(charge) => {
                let what = match charge {
                    ExtraCharge::AudioInput => "audio in the prompt",
                    ExtraCharge::AudioOutput => "audio in the answer",
                    ExtraCharge::ImageInput => "images in the prompt",
                    ExtraCharge::ImageOutput => "images in the answer",
                    ExtraCharge::WebSearch => "searches",
                    ExtraCharge::CacheStorage => "cached content",
                    ExtraCharge::Residency => "a choice of region",
                    ExtraCharge::Speed => "a choice of speed",
                    ExtraCharge::TimeOfDay => "the time of day",
                };
                write!(formatter, "{what} may be charged beside the prices that are known: leave it out")
            }
            Self::OtherModels => formatter.write_str(
                "other models may answer, whose prices were not looked at: leave `models`, `fallbacks` and `route` out",
            ),
        }
    }
}
