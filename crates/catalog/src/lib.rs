//! Model facts and prices, and what a usage costs.
//!
//! Prices ship as data, one file for each provider, and an operator may replace them for a deployment. A price that
//! nobody knows stays unknown: it is never taken for zero.

pub mod catalog;
pub mod facts;
pub mod price;
pub mod price_list;

pub use catalog::{Catalog, CatalogError};
pub use facts::{Capabilities, ExtraCharge, Lifecycle, Limits, Mode, ModelFacts, Source};
pub use price::{Meter, Price, PriceRow, ServiceTier, UsdPerMillion, UsdPerRequest};
pub use price_list::{Cost, InvalidPrices, PriceList, PriceProblem, PriceVersion};
