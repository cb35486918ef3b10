//! Reasoning that only its own provider can verify, carried through clients of another dialect.
//!
//! Clients replay a proof verbatim on the next turn. A proof from a provider of one family stands where a client's
//! dialect has a field for its own; a prefix tells whose it is, so that it never reaches a provider that would refuse it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::names;
use crate::canonical::{Content, ReasoningText};

/// Marks an item of the responses dialect inside `signature`: the item's id, a dot, its encrypted content.
const OF_RESPONSES: &str = "tollgate-responses-1.";
/// Marks reasoning of any other provider inside `encrypted_content`: kind, digest of the text, a dot, proof.
const OF_OTHERS: &str = "tollgate-reasoning-1.";

const SIGNED: &str = "s";
const UNSIGNED: &str = "u";
const REDACTED: &str = "r";

/// An item's proof as a signature.
pub(crate) fn from_item(id: &str, encrypted_content: &str) -> String {
    format!("{OF_RESPONSES}{}.{encrypted_content}", URL_SAFE_NO_PAD.encode(id))
}

/// The id and the encrypted content of the item that a signature stands for.
pub(crate) fn as_item(signature: &str) -> Option<(String, &str)> {
    let (id, encrypted_content) = signature.strip_prefix(OF_RESPONSES)?.split_once('.')?;
    let id = String::from_utf8(URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
    Some((id, encrypted_content))
}

pub(crate) fn is_of_responses(reasoning: &ReasoningText) -> bool {
    reasoning.signature.as_deref().is_some_and(|signature| signature.starts_with(OF_RESPONSES))
}

/// What stands in `encrypted_content` for reasoning of a provider that does not speak the responses dialect.
pub(crate) fn encrypted_content(text: &str, signature: Option<&str>) -> String {
    let kind = if signature.is_some() { SIGNED } else { UNSIGNED };
    format!("{OF_OTHERS}{kind}{}.{}", names::digest(text), signature.unwrap_or_default())
}

/// Like [`encrypted_content`], for reasoning without any readable text.
pub(crate) fn redacted_content(data: &str) -> String {
    format!("{OF_OTHERS}{REDACTED}.{data}")
}

/// Why an item's reasoning cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Altered;

/// The reasoning of an item with this text and encrypted content.
///
/// # Errors
/// When the text is not the one that was signed.
pub(crate) fn read(id: &str, text: String, encrypted_content: Option<&str>) -> Result<Content, Altered> {
    let Some(sealed) = encrypted_content.filter(|sealed| !sealed.is_empty()) else {
        return Ok(Content::Reasoning(ReasoningText { text, signature: None }));
    };
    let Some(rest) = sealed.strip_prefix(OF_OTHERS) else {
        let signature = Some(from_item(id, sealed));
        return Ok(Content::Reasoning(ReasoningText { text, signature }));
    };
    let (head, proof) = rest.split_once('.').ok_or(Altered)?;
    if head == REDACTED {
        return Ok(Content::RedactedReasoning { data: proof.to_owned() });
    }
    if let Some(digest) = head.strip_prefix(SIGNED) {
        let genuine = digest == names::digest(&text);
        let signature = Some(proof.to_owned());
        return if genuine {
            Ok(Content::Reasoning(ReasoningText { text, signature }))
        } else {
            Err(Altered)
        };
    }
    Ok(Content::Reasoning(ReasoningText { text, signature: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_survives_a_signature() {
        let signature = from_item("rs.1", "gAAAA.b=");
        assert_eq!(as_item(&signature), Some(("rs.1".to_owned(), "gAAAA.b=")));
        assert_eq!(as_item("EqQBCg"), None);
        let content = read("rs.1", "why".into(), Some("gAAAA.b=")).unwrap();
        assert_eq!(
            content,
            Content::Reasoning(ReasoningText { text: "why".into(), signature: Some(signature) })
        );
    }

    #[test]
    fn a_signature_survives_an_item_only_with_its_text() {
        let sealed = encrypted_content("why", Some("EqQB.Cg=="));
        let signed = ReasoningText { text: "why".into(), signature: Some("EqQB.Cg==".into()) };
        assert_eq!(read("rs_1", "why".into(), Some(&sealed)), Ok(Content::Reasoning(signed)));
        assert_eq!(read("rs_1", "Why".into(), Some(&sealed)), Err(Altered));
        let unsigned = ReasoningText { text: "changed".into(), signature: None };
        let sealed = encrypted_content("why", None);
        assert_eq!(read("rs_1", "changed".into(), Some(&sealed)), Ok(Content::Reasoning(unsigned)));
        let redacted = redacted_content("AAA");
        let data = "AAA".to_owned();
        assert_eq!(read("rs_1", String::new(), Some(&redacted)), Ok(Content::RedactedReasoning { data }));
        assert_eq!(read("rs_1", String::new(), Some("tollgate-reasoning-1.s")), Err(Altered));
    }
}
