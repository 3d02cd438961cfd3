//! Which headers of a request an answer depends on.

use std::fmt;

/// A header that a decision may depend on, beside the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
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

impl Header {
    /// In the order in which they are told.
    const ALL: [Header; 9] = [
        Header::Accept,
        Header::ViewportWidth,
        Header::LegacyViewportWidth,
        Header::Dpr,
        Header::UserAgent,
        Header::Rtt,
        Header::SaveData,
        Header::Ect,
        Header::Downlink,
    ];

    const fn name(self) -> &'static str {
        match self {
            Header::Accept => "Accept",
            Header::ViewportWidth => "Sec-CH-Viewport-Width",
            Header::LegacyViewportWidth => "Viewport-Width",
            Header::Dpr => "Sec-CH-DPR",
            Header::UserAgent => "User-Agent",
            Header::Rtt => "RTT",
            Header::SaveData => "Save-Data",
            Header::Ect => "ECT",
            Header::Downlink => "Downlink",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// The headers that took part in a decision. Printed, it is the value of `Vary`: always in one order, so that caches that compare
/// texts see one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Consulted(u16);

impl Consulted {
    /// Another header took part.
    pub fn add(&mut self, header: Header) {
        self.0 |= header.bit();
    }

    /// The others.
    pub const fn without(self, header: Header) -> Self {
        Consulted(self.0 & !header.bit())
    }

    /// Whether the target alone decided.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Header> for Consulted {
    fn from_iter<T: IntoIterator<Item = Header>>(headers: T) -> Self {
        let mut consulted = Consulted::default();
        for header in headers {
            consulted.add(header);
        }
        consulted
    }
}

impl fmt::Display for Consulted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for header in Header::ALL {
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
        let consulted = Consulted::from_iter([Header::Ect, Header::Accept, Header::Ect]);
        assert_eq!(consulted.to_string(), "Accept, ECT");
        assert_eq!(Consulted::default().to_string(), "");
        assert!(Consulted::default().is_empty() && !consulted.is_empty());
        assert_eq!(consulted.without(Header::Ect).to_string(), "Accept");
        let all = Consulted::from_iter(Header::ALL.into_iter().rev());
        assert_eq!(
            all.to_string(),
            "Accept, Sec-CH-Viewport-Width, Viewport-Width, Sec-CH-DPR, User-Agent, RTT, Save-Data, ECT, Downlink"
        );
    }
}
