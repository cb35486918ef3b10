use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{recorded::RecordedRequest, reply::Reply};

/// Which requests a rule is for. All that is set must hold; nothing set matches every request.
#[derive(Debug, Clone, Default)]
pub struct Match {
    method: Option<String>,
    path: Option<String>,
    model: Option<String>,
    header: Option<(String, String)>,
    body_contains: Option<Vec<u8>>,
    stream: Option<bool>,
}

impl Match {
    pub fn any() -> Self {
        Self::default()
    }

    /// The path without query, whole.
    pub fn path(path: &str) -> Self {
        Self { path: Some(path.to_owned()), ..Self::default() }
    }

    /// The body's `model`.
    pub fn model(model: &str) -> Self {
        Self { model: Some(model.to_owned()), ..Self::default() }
    }

    #[must_use]
    pub fn and_method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    #[must_use]
    pub fn and_model(mut self, model: &str) -> Self {
        self.model = Some(model.to_owned());
        self
    }

    #[must_use]
    pub fn and_header(mut self, name: &str, value: &str) -> Self {
        self.header = Some((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn and_body_contains(mut self, part: impl Into<Vec<u8>>) -> Self {
        self.body_contains = Some(part.into());
        self
    }

    /// Whether the body asks for a stream.
    #[must_use]
    pub fn and_stream(mut self, stream: bool) -> Self {
        self.stream = Some(stream);
        self
    }

    pub(super) fn holds(&self, request: &RecordedRequest) -> bool {
        self.method.as_ref().is_none_or(|method| request.method == *method)
            && self.path.as_ref().is_none_or(|path| request.path() == path)
            && self.model.as_ref().is_none_or(|model| request.model().as_ref() == Some(model))
            && self.stream.is_none_or(|stream| request.wants_stream() == stream)
            && self.header.as_ref().is_none_or(|(name, value)| request.header(name) == Some(value))
            && self
                .body_contains
                .as_ref()
                .is_none_or(|part| memchr::memmem::find(&request.body, part).is_some())
    }
}

type ReplyFunction = dyn Fn(&RecordedRequest, usize) -> Reply + Send + Sync;

/// What a rule answers.
#[derive(Clone)]
pub enum Behaviour {
    /// The same each time.
    Always(Reply),
    /// The n-th request gets the n-th reply; the last one repeats.
    InOrder(Vec<Reply>),
    /// Made from the request and from how often the rule was used before.
    From(Arc<ReplyFunction>),
}

impl Behaviour {
    pub fn from_fn(reply: impl Fn(&RecordedRequest, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::From(Arc::new(reply))
    }

    fn reply(&self, request: &RecordedRequest, used_before: usize) -> Reply {
        match self {
            Self::Always(reply) => reply.clone(),
            Self::InOrder(replies) => replies
                .get(used_before)
                .or(replies.last())
                .cloned()
                .expect("a rule with replies in order needs at least one reply"),
            Self::From(function) => function(request, used_before),
        }
    }
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Always(_) => "Always",
            Self::InOrder(_) => "InOrder",
            Self::From(_) => "From",
        })
    }
}

impl From<Reply> for Behaviour {
    fn from(reply: Reply) -> Self {
        Self::Always(reply)
    }
}

impl From<Vec<Reply>> for Behaviour {
    fn from(replies: Vec<Reply>) -> Self {
        Self::InOrder(replies)
    }
}

#[derive(Debug)]
pub(super) struct Rule {
    matcher: Match,
    behaviour: Behaviour,
    used: AtomicUsize,
}

impl Rule {
    pub(super) fn new(matcher: Match, behaviour: Behaviour) -> Self {
        Self { matcher, behaviour, used: AtomicUsize::new(0) }
    }

    pub(super) fn reply(&self, request: &RecordedRequest) -> Option<Reply> {
        if !self.matcher.holds(request) {
            return None;
        }
        Some(self.behaviour.reply(request, self.used.fetch_add(1, Ordering::Relaxed)))
    }
}
