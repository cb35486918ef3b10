//! Content parts of messages and of tools' results.

use super::write_input::Items;
use crate::canonical::{Block, Content, Document, Image, MediaSource, Role};
use crate::translate::error::TranslateError;
use crate::translate::media;
use crate::translate::write::ArrayWriter;

impl Items<'_> {
    pub(super) fn parts(&mut self, parts: &mut ArrayWriter<'_>, role: Role, blocks: &[Block]) {
        for block in blocks {
            match &block.content {
                Content::Text(text) if role == Role::Assistant => parts.object(|part| {
                    part.text("type", "output_text");
                    part.text("text", text);
                    part.array("annotations", |_| {});
                }),
                Content::Refusal(text) if role == Role::Assistant => parts.object(|part| {
                    part.text("type", "refusal");
                    part.text("refusal", text);
                }),
                Content::Image(_) | Content::Document(_) if role != Role::User => {
                    self.losses.dropped("messages[*].content[*]", "only users send images and documents");
                }
                Content::Text(text) | Content::Refusal(text) => input_text(parts, text),
                Content::Image(image) => self.image(parts, image),
                Content::Document(document) => self.document(parts, document),
                _ => {}
            }
        }
    }

    fn image(&mut self, parts: &mut ArrayWriter<'_>, image: &Image) {
        let url = match &image.source {
            MediaSource::Base64 { media_type, data } => media::data_url(media_type, data),
            MediaSource::Url(url) => url.clone(),
            MediaSource::File(_) | MediaSource::Text(_) => {
                return self
                    .refuse("source", "an image kept at another provider cannot be sent; send its data");
            }
        };
        parts.object(|part| {
            part.text("type", "input_image");
            part.text("detail", image.detail.as_deref().unwrap_or("auto"));
            part.text("image_url", &url);
        });
    }

    fn document(&mut self, parts: &mut ArrayWriter<'_>, document: &Document) {
        if document.context.is_some() {
            self.losses.dropped("messages[*].content[*].context", "documents have no context field");
        }
        match &document.source {
            MediaSource::Text(text) => match &document.title {
                Some(title) => input_text(parts, &format!("{title}\n\n{text}")),
                None => input_text(parts, text),
            },
            MediaSource::Base64 { media_type, data } => parts.object(|part| {
                part.text("type", "input_file");
                part.text("filename", document.title.as_deref().unwrap_or("document.pdf"));
                part.text("file_data", &media::data_url(media_type, data));
            }),
            MediaSource::Url(url) => parts.object(|part| {
                part.text("type", "input_file");
                part.text("file_url", url);
            }),
            MediaSource::File(_) => {
                self.refuse("source", "a file kept at another provider cannot be sent; send its data");
            }
        }
    }

    fn refuse(&mut self, field: &str, problem: &str) {
        let error = TranslateError::request(format!("messages[*].content[*].{field}"), problem);
        self.error.get_or_insert(error);
    }
}

pub(super) fn input_text(parts: &mut ArrayWriter<'_>, text: &str) {
    parts.object(|part| {
        part.text("type", "input_text");
        part.text("text", text);
    });
}
