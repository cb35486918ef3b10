//! What Linux tells a process about itself. Elsewhere everything is zero.

use std::fs;

/// The unit in which Linux reports CPU time to every program, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// Resident memory in bytes.
pub fn resident_memory_bytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    resident_kibibytes(&status).unwrap_or(0) as f64 * 1024.0
}

fn resident_kibibytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// CPU time of all threads, user and system.
pub fn cpu_seconds() -> f64 {
    let statistics = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    cpu_ticks(&statistics).unwrap_or(0) as f64 / TICKS_PER_SECOND
}

/// Fields 14 and 15; the second field is a name in parentheses that may hold anything.
fn cpu_ticks(statistics: &str) -> Option<u64> {
    let (_, after_name) = statistics.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    user.checked_add(system)
}

/// Open file descriptors.
pub fn open_files() -> f64 {
    // Reading the directory opens it: that one is not counted.
    fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count().saturating_sub(1)) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read_whatever_the_process_is_called() {
        let statistics = "42 (a ) b) S 1 42 42 0 -1 4194560 500 0 0 0 250 50 0 0 20 0 4 0 100 0 0";
        assert_eq!(cpu_ticks(statistics), Some(300));
        assert_eq!(cpu_ticks(""), None);
        assert_eq!(resident_kibibytes("VmHWM:\t 9 kB\nVmRSS:\t  2048 kB\n"), Some(2_048));
    }
}
