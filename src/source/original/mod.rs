//! Originals: objects of the origins, streamed to a client as they are. Nothing is stored, and nothing is read before the client wants it.
//!
//! Never forwards anything of the client's request but its conditions, its range and, where any content may be sent, its accepted codings. Never
//! passes on header fields of the origin but those in `headers`. With `pictures_only` nothing can be learnt about a file that is no picture: every
//! answer about it is that of a missing file.

mod answer;
mod body;
mod bucket;
mod folder;
mod headers;
mod http;
mod pictures;
mod range;
mod verdicts;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header;
use hyper::header::HeaderValue;
use url::Url;

use self::answer::{OriginAnswer, OriginReply};
use self::headers::OriginRequest;
pub(super) use self::verdicts::Verdicts;
use crate::deadline::Deadline;
use crate::policy::{ApprovedSource, SourceLocation, zone_url};
use crate::source::context::FetchContext;
use crate::source::error::{FetchStage, SourceError};
use crate::source::hosted;
use crate::source::hosted::HostedOrigin;
use crate::source::http::without_credentials;
use crate::source::slots::FetchSlot;
use crate::source::{Sources, ZoneClient};

/// What a client asks of an original, beside its name.
pub(crate) struct OriginalRequest {
    /// The client's conditions, range and accepted codings. Other fields are ignored.
    pub headers: HeaderMap,
    /// HEAD: no content is asked for.
    pub head_only: bool,
    /// Whether only what is a picture by its first bytes may be sent.
    pub pictures_only: bool,
    /// What to send as `Via`; `None` is the usual.
    pub via: Option<HeaderValue>,
}

/// An original while it arrives.
pub(crate) struct Original {
    /// 200, 206, 304, 412 or 416; that of a redirect, if any content may be sent.
    pub status: StatusCode,
    /// The header fields of the origin that may be passed on.
    pub headers: HeaderMap,
    /// The content. It is empty for HEAD, 304, 412, 416 and redirects. If it ends early, its last item is an error.
    pub body: BoxStream<'static, Result<Bytes, SourceError>>,
    /// The length of the content in bytes, where it is known; that of the content that GET would get, for HEAD.
    pub length: Option<u64>,
}

impl Original {
    /// The same, which keeps this until its content has ended or is dropped.
    pub(crate) fn holding(self, place: impl Send + 'static) -> Self {
        let held = self.body.inspect(move |_| {
            let _ = &place;
        });
        Original {
            body: held.boxed(),
            ..self
        }
    }
}

impl Sources {
    /// Requests an original. Its content holds a slot until it has ended or is dropped. There are as many as for fetches, apart from those, so that
    /// clients that read slowly do not keep pictures from being fetched.
    ///
    /// # Errors
    /// [`SourceError`] says why there is no answer; [`SourceError::NotFound`] also for what is no picture, if only pictures may be sent.
    pub(crate) async fn original(
        &self,
        source: &ApprovedSource,
        request: OriginalRequest,
    ) -> Result<Original, SourceError> {
        let context = FetchContext {
            config: &self.config,
            memory: &self.memory,
            rules: self.rule_set.of(source),
            deadline: Deadline::after(self.config.total_timeout.duration()),
            sniff: self.sniff,
            authorization: None,
        };
        let file = match (source.location(), &self.zone, &self.hosted) {
            (SourceLocation::Zone { path, .. }, ZoneClient::Folder(folder), _) => {
                Some((folder, path.clone()))
            }
            (SourceLocation::Hosted { key, .. }, _, HostedOrigin::Folder(folder)) => {
                Some((folder, hosted::path(key)))
            }
            _ => None,
        };
        if let Some((folder, path)) = file {
            let slot = self.take_transfer_slot(source, context.deadline).await?;
            let original = folder.original(&path, request, slot, context);
            return context
                .deadline
                .bound(FetchStage::FirstByte, original)
                .await?;
        }
        let pictures_only = request.pictures_only;
        let request = OriginRequest::of(request);
        if pictures_only {
            return self.picture(source, &request, context).await;
        }
        let answer = self.ask_part(source, &request, context).await?;
        Ok(answer.into_original())
    }

    /// Sends a request. A part that belongs to other content than the client has is replaced by the whole: some origins ignore `If-Range`.
    async fn ask_part(
        &self,
        source: &ApprovedSource,
        request: &OriginRequest,
        context: FetchContext<'_>,
    ) -> Result<OriginAnswer, SourceError> {
        let answer = self.ask(source, request, context).await?;
        let is_of_range = matches!(
            answer.status,
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE
        );
        if is_of_range && !request.wants_part_of(&answer.headers) {
            drop(answer);
            return self.ask(source, &request.without_range(), context).await;
        }
        Ok(answer)
    }

    /// Sends a request. Redirects that the allowlist approves are followed, but for those that the client can follow better itself.
    async fn ask(
        &self,
        source: &ApprovedSource,
        request: &OriginRequest,
        context: FetchContext<'_>,
    ) -> Result<OriginAnswer, SourceError> {
        let slot = self.take_transfer_slot(source, context.deadline).await?;
        let mut reply = self.send(source, request, context).await?;
        let mut last_slot = slot;
        let mut request = request.clone();
        let mut followed = 0;
        loop {
            let (target, answer) = match reply {
                OriginReply::Redirect { target, answer } => (target, answer),
                OriginReply::Answer(answer) => {
                    let idle_timeout = context.config.idle_timeout.duration();
                    return Ok(answer.bounded(idle_timeout, last_slot));
                }
            };
            drop(last_slot);
            let source = self.allowlist.approve(&target);
            if request.passes_redirects
                && let Some(location) = self.client_location(source.as_ref().ok(), &target)
            {
                return Ok(answer.redirecting_to(&location));
            }
            let source = source.map_err(SourceError::RedirectDenied)?;
            if followed == self.config.max_redirects {
                return Err(SourceError::TooManyRedirects { limit: followed });
            }
            followed += 1;
            // The redirect may lead to another resource now, and that may be older than the one that the client has.
            request.headers.remove(header::IF_MODIFIED_SINCE);
            last_slot = self.take_transfer_slot(&source, context.deadline).await?;
            reply = self.send(&source, &request, context).await?;
        }
    }

    /// Sends a request to one origin.
    async fn send(
        &self,
        source: &ApprovedSource,
        request: &OriginRequest,
        context: FetchContext<'_>,
    ) -> Result<OriginReply, SourceError> {
        match (source.location(), &self.zone) {
            (SourceLocation::Http(url), _) => self.allowed.original(url, request, context).await,
            (SourceLocation::Zone { path, query }, ZoneClient::Http { client, base }) => {
                let url = zone_url(base, path, query.as_deref());
                client.original(&url, request, context).await
            }
            (SourceLocation::Bucket { name, key }, _) => {
                let bucket = self.buckets.get(name);
                let bucket = bucket.ok_or_else(|| SourceError::UnknownBucket(name.clone()))?;
                let answer = bucket::original(bucket, key, request, context).await?;
                Ok(OriginReply::Answer(answer))
            }
            (SourceLocation::Hosted { key, .. }, _) => {
                let HostedOrigin::Bucket { name, prefix } = &self.hosted else {
                    return Err(SourceError::NotFound { negative_ttl: None });
                };
                let bucket = self.buckets.get(name);
                let bucket = bucket.ok_or_else(|| SourceError::UnknownBucket(name.clone()))?;
                let key = hosted::key(prefix, key);
                let answer = bucket::original(bucket, &key, request, context).await?;
                Ok(OriginReply::Answer(answer))
            }
            // No redirect leads into a folder, and the allowlist approves paths of a bucket as its keys, and without a zone none.
            (
                SourceLocation::Zone { .. },
                ZoneClient::Folder(_) | ZoneClient::Bucket(_) | ZoneClient::None,
            ) => Err(SourceError::NotFound { negative_ttl: None }),
        }
    }

    /// Waits until the content of a source may be streamed.
    async fn take_transfer_slot(
        &self,
        source: &ApprovedSource,
        deadline: Deadline,
    ) -> Result<FetchSlot, SourceError> {
        let origin = self.origin_name(source);
        self.transfers.take(origin, deadline).await
    }

    /// Where a client finds the target of a redirect: a path of the zone at this server, and what this server may not read at the target itself.
    /// `None` for allowed origins and configured buckets, which clients may not be able to reach, and for other paths of the zone's server, whose
    /// address clients must not learn.
    fn client_location(&self, approved: Option<&ApprovedSource>, target: &Url) -> Option<String> {
        let mut location = match approved.map(ApprovedSource::location) {
            Some(SourceLocation::Zone { path, query: None }) => path.clone(),
            Some(SourceLocation::Zone {
                path,
                query: Some(query),
            }) => format!("{path}?{query}"),
            Some(
                SourceLocation::Bucket { .. }
                | SourceLocation::Hosted { .. }
                | SourceLocation::Http(_),
            ) => return None,
            None => {
                let is_zone_server = matches!(&self.zone, ZoneClient::Http { base, .. } if base.host() == target.host());
                return (!is_zone_server).then(|| without_credentials(target).to_string());
            }
        };
        if let Some(fragment) = target.fragment() {
            location.push('#');
            location.push_str(fragment);
        }
        Some(location)
    }
}
