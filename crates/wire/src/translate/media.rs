//! `data:` URIs, in which the OpenAI dialect sends images and files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::canonical::MediaSource;

/// Reads `data:<type>;base64,<data>`, `http(s)://…`, or nothing that can be sent on.
pub(crate) fn parse_url(url: &str) -> Option<MediaSource> {
    if let Some(rest) = url.strip_prefix("data:") {
        let (head, data) = rest.split_once(',')?;
        let media_type = head.strip_suffix(";base64")?;
        // Parameters such as `;name=a.pdf` are no part of the type.
        let media_type = media_type.split(';').next().filter(|kind| !kind.is_empty())?;
        return Some(MediaSource::Base64 { media_type: media_type.to_owned(), data: data.to_owned() });
    }
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    is_web.then(|| MediaSource::Url(url.to_owned()))
}

/// Like [`parse_url`] for a file inside the body; text is decoded, because dialects take it as text only.
pub(crate) fn parse_document(url: &str) -> Option<MediaSource> {
    match parse_url(url)? {
        MediaSource::Base64 { media_type, data } if media_type.starts_with("text/") => {
            let bytes = STANDARD.decode(data).ok()?;
            String::from_utf8(bytes).ok().map(MediaSource::Text)
        }
        source => Some(source),
    }
}

pub(crate) fn data_url(media_type: &str, data: &str) -> String {
    format!("data:{media_type};base64,{data}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_apart() {
        let inline = MediaSource::Base64 { media_type: "image/png".into(), data: "AAAA".into() };
        assert_eq!(parse_url("data:image/png;base64,AAAA"), Some(inline.clone()));
        assert_eq!(parse_url("data:image/png;name=a.png;base64,AAAA"), Some(inline));
        assert_eq!(parse_url("https://a/b.png"), Some(MediaSource::Url("https://a/b.png".into())));
        assert_eq!(parse_url("data:image/png,AAAA"), None);
        assert_eq!(parse_url("file:///etc/passwd"), None);
        assert_eq!(parse_url("data:;base64,AAAA"), None);
    }

    #[test]
    fn text_files_are_decoded() {
        let text = MediaSource::Text("h\u{e9}".into());
        assert_eq!(parse_document("data:text/plain;base64,aMOp"), Some(text));
        assert_eq!(parse_document("data:text/plain;base64,////"), None);
    }
}
