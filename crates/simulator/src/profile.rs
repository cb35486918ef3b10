/// What kind of provider to simulate.
#[derive(Debug, Clone)]
pub enum Profile {
    /// Several models with their own pace, moods and habits. The same seed gives the same sequence of latencies and
    /// faults; answers depend on the prompt alone.
    Demo { seed: u64 },
    /// Ready-made bytes at once.
    Bench(BenchProfile),
}

/// The answers of a bench provider, made once at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BenchProfile {
    /// Size of a non-streamed body.
    pub response_bytes: usize,
    /// Content events of a stream, beside those that open and close it.
    pub events: usize,
    /// Text bytes in each content event.
    pub event_text_bytes: usize,
    /// How many events share one write: 1 wakes the reader for each, `usize::MAX` sends all at once.
    pub events_per_write: usize,
}

impl Default for BenchProfile {
    fn default() -> Self {
        Self { response_bytes: 1024, events: 32, event_text_bytes: 16, events_per_write: 1 }
    }
}
