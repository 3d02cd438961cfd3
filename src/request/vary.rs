//! The request headers that an answer depends on.

use std::fmt;

/// A request header that a decision may depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VaryHeader {
    /// `Accept`.
    Accept,
    /// `Sec-CH-Viewport-Width`.
    ViewportWidth,
    /// `Viewport-Width`, the older spelling.
    LegacyViewportWidth,
    /// `Sec-CH-DPR`.
    Dpr,
    /// `User-Agent`.
    UserAgent,
    /// `RTT`.
    Rtt,
    /// `Save-Data`.
    SaveData,
    /// `ECT`.
    Ect,
    /// `Downlink`.
    Downlink,
}

impl VaryHeader {
    /// In the order of the header `Vary`.
    const ALL: [VaryHeader; 9] = [
        VaryHeader::Accept,
        VaryHeader::ViewportWidth,
        VaryHeader::LegacyViewportWidth,
        VaryHeader::Dpr,
        VaryHeader::UserAgent,
        VaryHeader::Rtt,
        VaryHeader::SaveData,
        VaryHeader::Ect,
        VaryHeader::Downlink,
    ];

    const fn name(self) -> &'static str {
        match self {
            VaryHeader::Accept => "Accept",
            VaryHeader::ViewportWidth => "Sec-CH-Viewport-Width",
            VaryHeader::LegacyViewportWidth => "Viewport-Width",
            VaryHeader::Dpr => "Sec-CH-DPR",
            VaryHeader::UserAgent => "User-Agent",
            VaryHeader::Rtt => "RTT",
            VaryHeader::SaveData => "Save-Data",
            VaryHeader::Ect => "ECT",
            VaryHeader::Downlink => "Downlink",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// The headers that a decision depends on. `Display` is the value of `Vary`, always in one order, because some caches compare it as text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vary(u16);

impl Vary {
    /// Adds a header.
    pub(crate) fn add(&mut self, header: VaryHeader) {
        self.0 |= header.bit();
    }

    /// All headers but this one.
    pub(crate) const fn without(self, header: VaryHeader) -> Self {
        Vary(self.0 & !header.bit())
    }

    /// Whether the answer depends on no header.
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<VaryHeader> for Vary {
    fn from_iter<T: IntoIterator<Item = VaryHeader>>(headers: T) -> Self {
        let mut vary = Vary::default();
        for header in headers {
            vary.add(header);
        }
        vary
    }
}

impl fmt::Display for Vary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for header in VaryHeader::ALL {
            if self.0 & header.bit() != 0 {
                write!(out, "{comma}{}", header.name())?;
                comma = ", ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_spelling() {
        let vary = Vary::from_iter([VaryHeader::Ect, VaryHeader::Accept, VaryHeader::Ect]);
        assert_eq!(vary.to_string(), "Accept, ECT");
        assert_eq!(Vary::default().to_string(), "");
        assert!(Vary::default().is_empty() && !vary.is_empty());
        assert_eq!(vary.without(VaryHeader::Ect).to_string(), "Accept");
        let all = Vary::from_iter(VaryHeader::ALL.into_iter().rev());
        assert_eq!(
            all.to_string(),
            "Accept, Sec-CH-Viewport-Width, Viewport-Width, Sec-CH-DPR, User-Agent, RTT, Save-Data, ECT, Downlink"
        );
    }
}
