//! `tollgate admin`: the way back in when the credential is lost. Works on the store itself.

use clap::Subcommand;
use tollgate_control::{Installation, bootstrap};

use super::backup::Place;
use super::output;

/// Admin credentials
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new admin credential; every older one stops working. Needs the data directory, not a running Tollgate
    Reset {
        #[command(flatten)]
        place: Place,
    },
}

pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    let Command::Reset { place } = command;
    let root = place.root_key()?;
    let installation = Installation::open(&place.location()?, &root).await?;
    let token = bootstrap::reset_admin_credential(&installation).await?;
    installation.store.close().await;
    output::note("the new admin credential; it is shown only now, and older ones no longer work:");
    output::line(token.expose())
}
