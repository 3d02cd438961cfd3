//! From a delivery URL to a picture: its image, its variant, its signature.

use std::sync::Arc;

use hyper::http::request::Parts;

use crate::deadline::Stage;
use crate::error::Error;
use crate::hosted::{
    AccountSettings, DeliveryError, DeliveryUrl, Hosted, ImageId, ORIGINAL, Record, SignatureError,
    SignedUrl, Variant,
};
use crate::pipeline::Pipeline;
use crate::pipeline::context::RequestContext;
use crate::pipeline::hosted::delivery::{Delivery, now};
use crate::pipeline::hosted::variant::{browser_ttl, options_of, parse_options};
use crate::pipeline::request_memo::ResolvedRequest;
use crate::policy::Allowlist;
use crate::request::{ImageRequest, RequestKeyRef};
use crate::response::Lifetime;

/// How long browsers may keep a picture where nobody says anything else, in seconds: two days.
const BROWSER_TTL: u32 = 172_800;

/// What of an image is asked for.
enum Choice {
    Named(String, Variant),
    Flexible,
    Original,
}

impl Pipeline {
    /// The store of hosted images, if this is a request for one.
    pub(crate) fn delivers(&self, head: &Parts) -> Option<&Arc<Hosted>> {
        let hosted = self.hosted.as_ref()?;
        if DeliveryUrl::is_path(head.uri.path()) {
            return Some(hosted);
        }
        let hosts = &hosted.config().delivery_hosts;
        if hosts.is_empty() {
            return None;
        }
        let key = RequestKeyRef::of(head).ok()?;
        hosts
            .iter()
            .any(|host| key.names_host(host))
            .then_some(hosted)
    }

    /// The request, if the same was resolved before and nothing has changed since.
    pub(crate) fn known_delivery(
        &self,
        head: &Parts,
        hosted: &Hosted,
    ) -> Option<Arc<ResolvedRequest>> {
        let found = self.request_memo.get(&RequestKeyRef::of(head).ok()?)?;
        let delivery = found.delivery.as_ref()?;
        delivery.is_current(hosted).then_some(found)
    }

    /// Resolves a request for a hosted image.
    pub(crate) async fn resolve_delivery(
        &self,
        head: &Parts,
        hosted: &Arc<Hosted>,
        context: &RequestContext,
    ) -> Arc<ResolvedRequest> {
        let key = match RequestKeyRef::of(head) {
            Ok(key) => key,
            Err(error) => return Arc::new(ResolvedRequest::failed(error.into())),
        };
        let resolved = self.admit_delivery(&key, hosted, context).await;
        let resolved = resolved.unwrap_or_else(ResolvedRequest::failed);
        self.request_memo.insert(&key, resolved)
    }

    async fn admit_delivery(
        &self,
        key: &RequestKeyRef<'_>,
        hosted: &Arc<Hosted>,
        context: &RequestContext,
    ) -> Result<ResolvedRequest, Error> {
        let url = DeliveryUrl::parse(key.target())?;
        if url.hash != hosted.config().hash {
            return Err(DeliveryError::Hash.into());
        }
        hosted.check_open().map_err(DeliveryError::Store)?;
        let settings = hosted.settings();
        let choice = choice(&url, &settings)?;
        let id = ImageId::new(&url.id).map_err(|_| DeliveryError::NotFound)?;
        let record = match hosted.known(&id) {
            Some(record) => Some(record),
            None => {
                let found = context.deadline.bound(Stage::Fetch, hosted.find(&id));
                found.await?.map_err(DeliveryError::Store)?
            }
        };
        let record = record.filter(|record| record.is_ready());
        let record = record.ok_or(DeliveryError::NotFound)?;
        let original = record.original.as_ref();
        let original = original.ok_or(DeliveryError::NotFound)?;
        let terms = terms(&url.signed, &choice, &record, hosted, &settings)?;
        let options = match &choice {
            Choice::Named(_, variant) => options_of(variant, original.facts.format == "svg")
                .map_err(|_| DeliveryError::UnknownVariant(url.variant.to_owned()))?,
            Choice::Flexible => parse_options(url.variant),
            Choice::Original => parse_options(""),
        };
        let request = ImageRequest::without_source(key, options);
        // A variant is a choice of the account. Options that a client chose are as those of any URL, unless the URL is signed.
        if matches!(choice, Choice::Flexible) && !terms.is_signed {
            self.policy.check_access(&request)?;
        }
        let filename = record.filename.as_deref().unwrap_or_default();
        let source = Allowlist::approve_hosted(&original.key, filename);
        let job = self.policy.admit_approved(&request, source)?;
        let named = match &choice {
            Choice::Named(name, _) => name.as_str(),
            Choice::Flexible | Choice::Original => "",
        };
        let renditions = record.renditions.iter();
        let delivery = Delivery {
            id,
            rev: record.rev.clone(),
            settings: Arc::downgrade(&settings),
            expires: terms.expires,
            lifetime: terms.lifetime,
            renditions: renditions
                .filter(|rendition| rendition.variant == named)
                .cloned()
                .collect(),
            is_original: matches!(choice, Choice::Original),
        };
        Ok(ResolvedRequest::delivery(
            self.policy.vary(&request),
            job,
            delivery,
        ))
    }
}

/// What a URL asks for, as far as the account has it.
fn choice(url: &DeliveryUrl<'_>, settings: &AccountSettings) -> Result<Choice, DeliveryError> {
    if url.is_flexible() {
        return match settings.flexible_variants {
            true => Ok(Choice::Flexible),
            false => Err(DeliveryError::NoFlexibleVariants),
        };
    }
    if url.variant == ORIGINAL {
        return Ok(Choice::Original);
    }
    match settings.variants.get(url.variant) {
        Some(variant) => Ok(Choice::Named(url.variant.to_owned(), variant.clone())),
        None => Err(DeliveryError::UnknownVariant(
            url.variant.chars().take(99).collect(),
        )),
    }
}

/// Until when a URL is valid, and how long clients may cache its picture.
struct Terms {
    /// Whether the URL has a signature that was checked.
    is_signed: bool,
    expires: Option<u64>,
    lifetime: Lifetime,
}

/// Checks the signature where one is needed.
fn terms(
    signed: &SignedUrl<'_>,
    choice: &Choice,
    record: &Record,
    hosted: &Hosted,
    settings: &AccountSettings,
) -> Result<Terms, DeliveryError> {
    let is_for_all = match choice {
        Choice::Named(_, variant) => variant.never_require_signed_urls,
        Choice::Flexible | Choice::Original => false,
    };
    let is_original = matches!(choice, Choice::Original);
    let is_private = record.require_signed_urls && !is_for_all;
    let needs_signature = is_private || is_original && !hosted.config().original_variant;
    if !needs_signature {
        let of_variant = match choice {
            Choice::Named(_, variant) => browser_ttl(variant),
            Choice::Flexible | Choice::Original => None,
        };
        let seconds = of_variant.or(settings.browser_ttl).unwrap_or(BROWSER_TTL);
        return Ok(Terms {
            is_signed: false,
            expires: None,
            lifetime: Lifetime::Public { seconds },
        });
    }
    let verified = signed.verify(&settings.keys, now());
    let expires = verified.map_err(|error| match error {
        SignatureError::Missing if !is_private => DeliveryError::NoOriginal,
        error => DeliveryError::Signature(error),
    })?;
    Ok(Terms {
        is_signed: true,
        expires,
        lifetime: Lifetime::Private { until: expires },
    })
}
