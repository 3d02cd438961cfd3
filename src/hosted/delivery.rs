//! Delivery URLs: `/cdn-cgi/imagedelivery/HASH/ID/VARIANT`.

/// What a delivery URL names, percent-decoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryUrl {
    /// The account hash.
    pub hash: String,
    /// The name of the image.
    pub id: String,
    /// The name of a variant, or options.
    pub variant: String,
}
