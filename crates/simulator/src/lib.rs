//! Simulated providers inside the process: lively ones to look at (`tollgate serve --demo`) and one that costs next to
//! nothing to measure against (`tollgate bench`).
//!
//! They speak the OpenAI and Anthropic dialects over real sockets, so that everything between a client and a provider
//! is real. They check no credentials.

mod bench;
mod demo;
mod profile;
mod provider;
mod random;
mod text;

pub use profile::{BenchProfile, Profile};
pub use provider::{BoundProvider, Builder, SimulatedProvider, SimulatorError};

/// The models that a demo provider serves, embeddings included.
pub fn demo_model_names() -> impl Iterator<Item = &'static str> {
    demo::models::MODELS.iter().map(|model| model.name)
}
