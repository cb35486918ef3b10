//! Signatures of webhooks by the Standard Webhooks scheme (<https://www.standardwebhooks.com>, version 1): the receiver
//! computes HMAC-SHA256 over `id.timestamp.payload` under the shared secret and compares.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tollgate_core::SecretText;

/// What the text of every secret begins with.
const PREFIX: &str = "whsec_";
/// The scheme allows 24 to 64.
const SECRET_BYTES: usize = 32;
const LEAST_SECRET_BYTES: usize = 24;
const MOST_SECRET_BYTES: usize = 64;

/// Why a text cannot be the secret of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be `{PREFIX}` and base64 of {LEAST_SECRET_BYTES} to {MOST_SECRET_BYTES} random bytes; leave it out and one is made"
)]
pub(crate) struct InvalidSecret;

/// A key that signs.
pub(crate) struct Signer(hmac::Key);

/// A new secret, as it is shown to the receiver's operator.
pub(crate) fn new_secret() -> Result<SecretText, getrandom::Error> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; SECRET_BYTES]);
    getrandom::fill(&mut *bytes)?;
    Ok(SecretText::new(format!("{PREFIX}{}", STANDARD.encode(*bytes))))
}

impl Signer {
    pub(crate) fn new(secret: &SecretText) -> Result<Self, InvalidSecret> {
        let encoded = secret.expose().strip_prefix(PREFIX).ok_or(InvalidSecret)?;
        let bytes = zeroize::Zeroizing::new(STANDARD.decode(encoded).map_err(|_| InvalidSecret)?);
        if !(LEAST_SECRET_BYTES..=MOST_SECRET_BYTES).contains(&bytes.len()) {
            return Err(InvalidSecret);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The value of the header `webhook-signature`.
    pub(crate) fn sign(&self, id: &str, timestamp_s: i64, payload: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(id.as_bytes());
        context.update(format!(".{timestamp_s}.").as_bytes());
        context.update(payload);
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(text: &str) -> Result<Signer, InvalidSecret> {
        Signer::new(&SecretText::new(text.to_owned()))
    }

    /// The vector that the scheme's reference libraries test themselves with.
    #[test]
    fn the_published_vector_is_signed_alike() {
        let signer = signer("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature =
            signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_are_random_and_only_such_are_taken() {
        let (one, two) = (new_secret().unwrap(), new_secret().unwrap());
        assert_ne!(one.expose(), two.expose());
        assert!(Signer::new(&one).is_ok());
        for wrong in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_not base64!"]
        {
            assert!(signer(wrong).is_err(), "{wrong}");
        }
    }
}
