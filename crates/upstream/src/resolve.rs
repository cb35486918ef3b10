//! From an origin to the addresses that a connection may go to.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::error::SendError;
use crate::origin::Origin;

/// How long an answer is used. Short, so that a provider that moves is followed.
const LIFETIME: Duration = Duration::from_secs(30);

/// Resolves an origin and keeps only addresses that its egress policy allows; never an empty list.
pub(crate) async fn resolve(origin: &Origin, deadline: Instant) -> Result<Vec<SocketAddr>, SendError> {
    if let Some(literal) = origin.literal {
        return permitted(origin, [literal]);
    }
    let look_up = tokio::net::lookup_host((origin.host.as_str(), origin.port));
    match timeout_at(deadline, look_up).await {
        Ok(Ok(found)) => permitted(origin, found.map(|address| address.ip())),
        Ok(Err(error)) => Err(SendError::Dns(error.to_string())),
        Err(_) => Err(SendError::Dns("the look-up took too long".to_owned())),
    }
}

fn permitted(origin: &Origin, found: impl IntoIterator<Item = IpAddr>) -> Result<Vec<SocketAddr>, SendError> {
    let mut allowed = Vec::new();
    let mut refusal = None;
    for address in found {
        match origin.egress.check(address) {
            Ok(()) => allowed.push(SocketAddr::new(address, origin.port)),
            Err(reason) => refusal = Some(reason),
        }
    }
    match refusal {
        _ if !allowed.is_empty() => Ok(allowed),
        Some(refusal) => Err(SendError::Egress(refusal)),
        None => Err(SendError::Dns("the name has no address".to_owned())),
    }
}

/// The last answer for one origin. Whoever asks while a look-up is running waits for that one.
#[derive(Default)]
pub(crate) struct ResolveCache {
    answer: Mutex<Option<Answer>>,
}

struct Answer {
    addresses: Vec<SocketAddr>,
    expires: Instant,
}

impl ResolveCache {
    pub(crate) async fn resolve(
        &self,
        origin: &Origin,
        deadline: Instant,
    ) -> Result<Vec<SocketAddr>, SendError> {
        let mut answer =
            timeout_at(deadline, self.answer.lock()).await.map_err(|_| SendError::ConnectTimeout)?;
        if let Some(known) = answer.as_ref()
            && known.expires > Instant::now()
        {
            return Ok(known.addresses.clone());
        }
        let addresses = resolve(origin, deadline).await?;
        *answer = Some(Answer { addresses: addresses.clone(), expires: Instant::now() + LIFETIME });
        Ok(addresses)
    }

    /// Forgets the answer, because nobody could be reached there.
    pub(crate) fn forget(&self) {
        if let Ok(mut answer) = self.answer.try_lock() {
            *answer = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::Egress;

    #[test]
    fn only_permitted_addresses_are_kept() {
        let origin = Origin::parse("https://api.example.com", Egress::Public).unwrap();
        let mixed = ["10.0.0.1", "1.1.1.1", "::1"].map(|address| address.parse().unwrap());
        assert_eq!(permitted(&origin, mixed).unwrap(), ["1.1.1.1:443".parse().unwrap()]);
        let rebound = ["::ffff:127.0.0.1".parse().unwrap()];
        assert!(matches!(permitted(&origin, rebound), Err(SendError::Egress(_))));
        assert!(matches!(permitted(&origin, []), Err(SendError::Dns(_))));
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_this_machine_is_refused_for_public_origins() {
        let mut origin = Origin::parse("http://localhost:1", Egress::Internal).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        assert!(resolve(&origin, deadline).await.is_ok());
        origin.egress = Egress::Public;
        assert!(matches!(resolve(&origin, deadline).await, Err(SendError::Egress(_))));
    }
}
