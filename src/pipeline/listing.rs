//! Lists the zone for operators.

use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::policy::Allowlist;
use crate::source::ZoneListing;

impl Pipeline {
    /// What is directly below a folder of the zone, or what begins so in its bucket; the path is percent-encoded. What no request may read is left
    /// out. `None` where the zone cannot be listed.
    ///
    /// # Errors
    /// The folder or the bucket cannot be read.
    pub(crate) async fn list_zone(&self, path: &str) -> Result<Option<ZoneListing>, Error> {
        let listed = self.sources.list_zone(path).await.map_err(Error::Source)?;
        let allowlist = self.policy.allowlist();
        Ok(listed.map(|listing| readable(&allowlist, listing)))
    }
}

fn readable(allowlist: &Allowlist, mut listing: ZoneListing) -> ZoneListing {
    let is_readable = |path: &str| allowlist.approve_zone(path).is_ok();
    listing.files.retain(|(path, _)| is_readable(path));
    // Whether the files in a folder may be read shows at any name.
    let folders = &mut listing.folders;
    folders.retain(|folder| is_readable(&format!("{folder}name")));
    listing
}
