//! Content parts of items.

use crate::canonical::{Block, Content, Document, Image, Losses, MediaSource};
use crate::translate::error::TranslateError;
use crate::translate::media;
use crate::translate::read::{Node, Object};

type Result<T> = std::result::Result<T, TranslateError>;

/// `content` of a message or `output` of a tool: a string or an array of parts.
pub(super) fn read_parts(node: &Node<'_>, losses: &mut Losses) -> Result<Vec<Block>> {
    if node.is_text() {
        return Ok(vec![Block::text(node.text()?)]);
    }
    let mut blocks = Vec::new();
    for part in node.array_or_text()? {
        blocks.extend(read_part(&part, losses)?.map(Block::new));
    }
    Ok(blocks)
}

fn read_part(node: &Node<'_>, losses: &mut Losses) -> Result<Option<Content>> {
    let mut part = node.object()?;
    let content = match part.require("type")?.text()?.as_str() {
        "input_text" | "text" => Content::Text(part.require("text")?.text()?),
        "output_text" => {
            // Notes on the text, which is complete without them.
            part.ignore(&["annotations", "logprobs"]);
            Content::Text(part.require("text")?.text()?)
        }
        "refusal" => Content::Refusal(part.require("refusal")?.text()?),
        "input_image" => read_image(&mut part)?,
        "input_file" => read_file(&mut part)?,
        "input_audio" => {
            return Err(part.error("type", "audio cannot be sent to this model; send a transcript"));
        }
        _ => {
            losses.dropped(node.path(), "this kind of content exists at its own provider only");
            return Ok(None);
        }
    };
    part.report_rest(losses);
    Ok(Some(content))
}

fn read_image(part: &mut Object<'_>) -> Result<Content> {
    let detail = part.text("detail")?.filter(|detail| detail != "auto");
    let source = match part.take("image_url") {
        Some(url) => media::parse_url(&url.text()?)
            .ok_or_else(|| url.error("must be an http(s) url or a data uri with a media type and base64"))?,
        None => MediaSource::File(part.require("file_id")?.text()?),
    };
    Ok(Content::Image(Image { source, detail }))
}

fn read_file(part: &mut Object<'_>) -> Result<Content> {
    let title = part.text("filename")?;
    let source = if let Some(data) = part.take("file_data") {
        let text = data.text()?;
        if text.starts_with("data:") {
            media::parse_document(&text)
                .ok_or_else(|| data.error("must be a data uri with a media type and base64"))?
        } else {
            MediaSource::Base64 { media_type: "application/pdf".to_owned(), data: text }
        }
    } else if let Some(url) = part.take("file_url") {
        media::parse_url(&url.text()?).ok_or_else(|| url.error("must be an http(s) url"))?
    } else {
        MediaSource::File(part.require("file_id")?.text()?)
    };
    Ok(Content::Document(Document { source, title, context: None }))
}
