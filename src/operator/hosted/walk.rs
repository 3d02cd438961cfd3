//! Looks at the records of all hosted images for those that lack eager renditions.

use std::collections::VecDeque;

use crate::hosted::{Hosted, HostedError, ImageId, ImageQuery, Original, Record};
use crate::pipeline::Scan;

/// How many records are read at once, when all are looked at.
const PAGE: usize = 100;

/// A look at all images, page by page, from the newest to the oldest.
pub(super) struct Walk {
    pub scan: Scan,
    page: VecDeque<ImageId>,
    after: Option<(u64, String)>,
    has_more: bool,
}

impl Walk {
    pub fn new(scan: Scan) -> Self {
        Walk {
            scan,
            page: VecDeque::new(),
            after: None,
            has_more: true,
        }
    }

    /// The next image whose renditions have to be looked at; `None` at the end.
    pub async fn next(&mut self, hosted: &Hosted) -> Result<Option<ImageId>, HostedError> {
        while self.page.is_empty() && self.has_more {
            let query = ImageQuery {
                limit: PAGE,
                after: self.after.take(),
                newest_first: true,
                ..ImageQuery::default()
            };
            let page = hosted.list(&query).await?;
            let last = page.images.last();
            self.after = last.map(|record| (record.uploaded, record.id.as_str().to_owned()));
            self.has_more = page.has_more && last.is_some();
            let wanted = page.images.iter().filter(|record| match self.scan {
                Scan::All => true,
                Scan::Missing => lacks(hosted, record),
            });
            self.page.extend(wanted.map(|record| record.id.clone()));
        }
        Ok(self.page.pop_front())
    }
}

/// Whether there is no rendition of an eager variant at all.
fn lacks(hosted: &Hosted, record: &Record) -> bool {
    let settings = hosted.settings();
    let mut eager = hosted.config().eager.iter();
    let is_drawing = |original: &Original| original.facts.format == "svg";
    !record.original.as_ref().is_none_or(is_drawing)
        && eager.any(|name| {
            let mut listed = record.renditions.iter();
            settings.variants.contains_key(name) && !listed.any(|one| one.variant == *name)
        })
}
