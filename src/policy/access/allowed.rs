//! The options that a client may choose without a signature.

use crate::options::{Options, Pixels, Width};
use crate::policy::access::config::{AllowedOptions, Sides};
use crate::policy::refusal::Unlisted;

/// The most values that a message lists.
const LISTED: usize = 24;

/// What the list says of options.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They are allowed.
    Listed,
    /// They are, and `width=auto` becomes one of the widths.
    Auto,
    /// They are, with another width than this one.
    Rounded(Pixels),
    /// They are not.
    Unlisted(Unlisted),
}

impl AllowedOptions {
    /// Decides about what a client chose: whole texts, or values of the lists beside nothing or a whole text.
    pub(super) fn judge(&self, chosen: &Options) -> Verdict {
        if self.lists(chosen) {
            return Verdict::Listed;
        }
        let mut rest = chosen.clone();
        let width = match self.judge_width(rest.width.take()) {
            Verdict::Unlisted(unlisted) => return Verdict::Unlisted(unlisted),
            verdict => verdict,
        };
        if width == Verdict::Auto {
            // They decide about the width alone, which is one of the list in any case.
            (rest.wbreakpoints, rest.wdesktop, rest.wmobile) = (None, None, None);
        }
        if let Some(height) = rest.height.take()
            && !self.heights.0.contains(&height)
        {
            return unlisted(format!("height={}", height.get()), &self.heights);
        }
        for quality in [rest.quality.take(), rest.slow_connection_quality.take()] {
            if let Some(quality) = quality.map(|quality| quality.quality())
                && !self.qualities.0.contains(&quality)
            {
                let values: Vec<u32> = self
                    .qualities
                    .0
                    .iter()
                    .map(|one| one.get().into())
                    .collect();
                return unlisted_of(format!("quality={}", quality.get()), &values);
            }
        }
        let is_format = |format| self.formats.0.contains(format);
        if rest
            .format
            .as_ref()
            .is_some_and(|format| !is_format(format))
        {
            let format = Options {
                format: rest.format,
                ..Options::default()
            };
            return Verdict::Unlisted(Unlisted {
                asked: format.to_string(),
                allowed: String::new(),
            });
        }
        rest.format = None;
        if rest == Options::default() || self.lists(&rest) {
            return width;
        }
        Verdict::Unlisted(Unlisted {
            asked: rest.to_string().chars().take(200).collect(),
            allowed: String::new(),
        })
    }

    /// The smallest width that is no smaller than this one, or else the largest.
    pub(super) fn round(&self, asked: Pixels) -> Pixels {
        let widths = &self.widths.0;
        let larger = widths.iter().find(|width| **width >= asked);
        *larger.or(widths.last()).unwrap_or(&asked)
    }

    fn judge_width(&self, width: Option<Width>) -> Verdict {
        match width {
            None => Verdict::Listed,
            Some(Width::Pixels(width)) if self.widths.0.contains(&width) => Verdict::Listed,
            Some(Width::Auto) if !self.widths.0.is_empty() => Verdict::Auto,
            Some(Width::Pixels(width)) if self.round_widths && !self.widths.0.is_empty() => {
                Verdict::Rounded(width)
            }
            Some(Width::Pixels(width)) => unlisted(format!("width={}", width.get()), &self.widths),
            Some(Width::Auto) => unlisted("width=auto".to_owned(), &self.widths),
        }
    }

    fn lists(&self, options: &Options) -> bool {
        let mut whole = self.options.iter().map(|whole| whole.0.options());
        whole.any(|whole| whole == *options)
    }
}

fn unlisted(asked: String, sides: &Sides) -> Verdict {
    let values: Vec<u32> = sides.0.iter().map(|side| side.get()).collect();
    unlisted_of(asked, &values)
}

fn unlisted_of(asked: String, values: &[u32]) -> Verdict {
    let told = values.iter().take(LISTED).map(u32::to_string);
    let mut told: Vec<String> = told.collect();
    if values.len() > LISTED {
        told.push("…".to_owned());
    }
    Verdict::Unlisted(Unlisted {
        asked,
        allowed: told.join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(text: &str) -> AllowedOptions {
        toml::from_str(text).expect("a list")
    }

    fn judge(allowed: &AllowedOptions, options: &str) -> String {
        let options: Options = options.parse().expect("options");
        match allowed.judge(&options) {
            Verdict::Listed => "listed".to_owned(),
            Verdict::Auto => "auto".to_owned(),
            Verdict::Rounded(width) => format!("rounded from {}", width.get()),
            Verdict::Unlisted(unlisted) => unlisted.to_string(),
        }
    }

    const LISTS: &str = "widths = [640, 320]\nheights = [240]\nqualities = [75]\nformats = ['auto', 'webp']\n\
        options = ['fit=cover', 'width=100,height=100,fit=pad,background=white', 'blur=20']";

    #[test]
    fn what_is_on_the_lists_is_allowed() {
        let lists = allowed(LISTS);
        for options in [
            "width=320",
            "w=640,f=auto",
            "width=320,height=240,fit=cover",
            "quality=75,format=webp",
            "width=320,scq=75",
            "fit=cover,quality=75",
            "background=white,fit=pad,height=100,width=100",
            "background=%23fff,fit=pad,height=100,width=100",
            "width=320,blur=20",
            "",
        ] {
            assert_eq!(judge(&lists, options), "listed", "{options}");
        }
        for options in [
            "width=auto",
            "width=auto,wbreakpoints=1;2,wdesktop=7,format=auto",
        ] {
            assert_eq!(judge(&lists, options), "auto", "{options}");
        }
    }

    #[test]
    fn everything_else_is_not() {
        let lists = allowed(LISTS);
        let none = AllowedOptions::default();
        let says = |asked: &str, must: &str| {
            format!("`{asked}` is not allowed in a URL without a signature{must}")
        };
        for (options, asked, must) in [
            ("width=321", "width=321", ": it must be 320, 640"),
            ("width=100", "width=100", ": it must be 320, 640"),
            ("height=1", "height=1", ": it must be 240"),
            ("quality=high", "quality=90", ": it must be 75"),
            ("scq=1", "quality=1", ": it must be 75"),
            ("format=avif", "format=avif", ""),
            ("width=320,fit=contain", "fit=contain", ""),
            ("width=320,dpr=2", "dpr=2", ""),
            ("width=320,fit=cover,blur=20", "blur=20,fit=cover", ""),
            ("wdesktop=7", "wdesktop=7", ""),
            ("anim=false", "anim=false", ""),
        ] {
            assert_eq!(judge(&lists, options), says(asked, must), "{options}");
        }
        assert_eq!(judge(&none, "width=320"), says("width=320", ""));
        assert_eq!(judge(&none, "width=auto"), says("width=auto", ""));
        assert_eq!(judge(&none, ""), "listed");
    }

    #[test]
    fn widths_round_up_where_that_is_wanted() {
        let lists = allowed(&format!("{LISTS}\nround_widths = true"));
        assert_eq!(judge(&lists, "width=333,fit=cover"), "rounded from 333");
        assert_eq!(judge(&lists, "width=320"), "listed");
        assert!(judge(&lists, "width=333,dpr=2").contains("dpr=2"));
        let round = |width| {
            let width = Pixels::new(width).expect("not zero");
            lists.round(width).get()
        };
        assert_eq!(
            [1, 320, 321, 640, 9999].map(round),
            [320, 320, 640, 640, 640]
        );
        let none = allowed("round_widths = true");
        assert!(judge(&none, "width=333").contains("width=333"));
    }

    #[test]
    fn lists_are_checked() {
        for (text, says) in [
            ("widths = [0]", "nonzero"),
            ("qualities = [101]", "1 to 100"),
            ("formats = ['gif']", "got `gif`"),
            ("formats = ['auto,width=8']", "got `auto,width=8`"),
            ("options = ['width=0']", "width"),
            ("options = ['sise=1']", "sise"),
        ] {
            let error = toml::from_str::<AllowedOptions>(text).expect_err(text);
            assert!(error.message().contains(says), "{error}");
        }
    }
}
