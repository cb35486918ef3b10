//! The thread that makes written bytes survive loss of power, for all cores of the process.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Durability;
use super::shared::{CoreShared, LiveSegment, Process};

const SPACE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn run(process: &Process) {
    let mut space_checked: Option<Instant> = None;
    loop {
        if space_checked.is_none_or(|at| at.elapsed() >= SPACE_CHECK_INTERVAL) {
            check_space(process);
            space_checked = Some(Instant::now());
        }
        let stopping = process.stop.load(Ordering::Acquire);
        if !process.is_dirty() && !stopping {
            std::thread::park_timeout(SPACE_CHECK_INTERVAL);
            continue;
        }
        if process.options.durability == Durability::Process && !stopping {
            gather(process);
        }
        process.begin_sync();
        let cores = process.cores.lock().clone();
        for core in &cores {
            sync_core(process, core);
        }
        if stopping {
            return;
        }
    }
}

/// Lets unsynced bytes gather; a shutdown does not wait for them.
fn gather(process: &Process) {
    let begun = Instant::now();
    while let Some(rest) = process.options.sync_delay.checked_sub(begun.elapsed())
        && !rest.is_zero()
        && !process.stop.load(Ordering::Acquire)
    {
        std::thread::park_timeout(rest);
    }
}

fn check_space(process: &Process) {
    if process.options.minimum_free_bytes == 0 {
        return;
    }
    // An unknown amount is no reason to refuse: a full disk also shows itself by failing writes.
    let low = process.storage.free_bytes().is_ok_and(|free| free < process.options.minimum_free_bytes);
    if process.low_space.swap(low, Ordering::AcqRel) != low {
        tracing::warn!(low, "free space for the journal crossed its minimum");
    }
}

pub(super) fn sync_core(process: &Process, core: &CoreShared) {
    let segments = core.segments.lock().clone();
    let before = core.synced.load(Ordering::Acquire);
    for segment in &segments {
        if segment.distrusted.load(Ordering::Acquire) {
            break;
        }
        if let Err(error) = sync_segment(process, core, segment) {
            core.distrust(segment, format!("sync failed: {error}"), process.clock.now());
            core.tell_flusher();
            return;
        }
    }
    if core.synced.load(Ordering::Acquire) != before {
        forget_finished(core);
        if process.options.durability == Durability::Power || core.keeps_much.load(Ordering::Relaxed) {
            core.tell_flusher();
        }
    }
}

fn sync_segment(process: &Process, core: &CoreShared, segment: &Arc<LiveSegment>) -> std::io::Result<()> {
    if !segment.directory_synced.load(Ordering::Acquire) {
        process.storage.sync_directory(core.core)?;
        segment.directory_synced.store(true, Ordering::Release);
    }
    let end = segment.end.load(Ordering::Acquire);
    if end > core.synced.load(Ordering::Acquire) {
        segment.file.sync()?;
        core.synced.fetch_max(end, Ordering::AcqRel);
    }
    Ok(())
}

/// Lets go of files that are closed and synced to their end.
fn forget_finished(core: &CoreShared) {
    let synced = core.synced.load(Ordering::Acquire);
    let mut segments = core.segments.lock();
    let newest = segments.last().map(|segment| segment.name);
    segments.retain(|segment| Some(segment.name) == newest || segment.end.load(Ordering::Acquire) > synced);
}
