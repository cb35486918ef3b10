//! SIGHUP: `tollgate.yaml` is read again. Its objects take effect all or not at all.

use std::path::PathBuf;

use tokio::signal::unix::Signal;
use tollgate_control::configuration::{Applied, FileObjects, ProcessSettings, apply};
use tollgate_control::{Connection, ControlPlane};

use super::settings;

/// Obeys the signal until the runtime ends.
pub(crate) async fn obey(
    mut signal: Signal,
    path: Option<PathBuf>,
    in_force: ProcessSettings,
    control: ControlPlane,
) {
    while signal.recv().await.is_some() {
        match &path {
            None => tracing::warn!(
                "SIGHUP: there is nothing to read again, Tollgate was started without --config"
            ),
            Some(path) => match settings::read(path) {
                Ok(read) => {
                    take_over(read.objects.as_ref(), &control).await;
                    tell_of_restart(&read.process.differing(&in_force));
                }
                Err(problems) => {
                    for problem in &problems {
                        tracing::error!(problem, "the configuration is wrong; everything stays as it was");
                    }
                }
            },
        }
    }
}

/// What the process itself runs with is chosen once.
fn tell_of_restart(settings: &[&'static str]) {
    if !settings.is_empty() {
        let settings = settings.join(", ");
        tracing::warn!(%settings, "changed in the configuration; takes effect at the next start");
    }
}

async fn take_over(objects: Option<&FileObjects>, control: &ControlPlane) {
    let Some(objects) = objects else {
        tracing::info!("the configuration was read; it names no objects");
        return;
    };
    match control.apply(objects).await {
        Ok(Applied { writes }) => match control.publisher().publish_latest().await {
            Ok(()) => tracing::info!(writes, "the configuration was read again and is in effect"),
            Err(error) => tracing::error!(%error, "the configuration was stored but cannot be used"),
        },
        Err(error) => {
            tracing::error!(%error, "the configuration was not taken over; everything stays as it was");
        }
    }
}

/// Makes the store's file-owned objects those of the files; says how many were written.
pub(crate) async fn apply_files(objects: &FileObjects, connection: &Connection) -> anyhow::Result<u64> {
    let installation = connection.open().await?;
    Ok(apply(installation, objects).await?.writes)
}
