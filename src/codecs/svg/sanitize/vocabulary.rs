//! The known names: the elements and attributes of SVG 1.1 and 2 and of the editors that extended them, without the active ones. All other
//! names are removed.

use std::collections::HashMap;
use std::str::from_utf8;
use std::sync::LazyLock;

use crate::codecs::svg::sanitize::reference;

/// The namespace of SVG.
pub(crate) const SVG: &str = "http://www.w3.org/2000/svg";

/// The content of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ElementContent {
    Elements,
    Text,
    Style,
}

/// The allowed targets of the `href` of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HrefTarget {
    Nothing,
    Element,
    Picture,
    Either,
}

/// The kind of value that an attribute has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttributeKind {
    /// Text, numbers and keywords, which refer to nothing.
    Plain,
    /// CSS declarations, or a CSS value.
    Style,
    /// The name of an attribute to animate.
    Animated,
    /// A value of an animation.
    Animation,
}

#[derive(Debug)]
pub(crate) struct Element {
    pub name: &'static str,
    pub content: ElementContent,
    target: HrefTarget,
}

impl Element {
    pub(super) fn is_svg(&self) -> bool {
        self.name == "svg"
    }

    pub(super) fn is_animation(&self) -> bool {
        self.name == "set" || self.name.starts_with("animate")
    }

    /// Whether a known attribute is allowed in this element.
    pub(super) fn may_have(&self, (name, meaning): (&str, AttributeKind)) -> bool {
        match meaning {
            // This was checked at the start of the animation.
            AttributeKind::Animated => self.is_animation(),
            // An HTML parser leaves SVG at a `font` element with a colour.
            AttributeKind::Style => !(self.name == "font" && name == "color"),
            AttributeKind::Plain | AttributeKind::Animation => true,
        }
    }

    /// The reference, if this element may have it.
    pub(super) fn reference<'a>(&self, url: &'a str) -> Option<&'a str> {
        match self.target {
            HrefTarget::Nothing => None,
            HrefTarget::Element => reference::local(url),
            HrefTarget::Picture => reference::picture(url),
            HrefTarget::Either => reference::local(url).or_else(|| reference::picture(url)),
        }
    }
}

/// Elements that draw, or describe how to draw, and refer to nothing. Links are included, because their content is drawn; their target is
/// removed. Not: `script` and `handler`; `foreignObject` and media, which are other kinds of documents; `cursor` and `font-face-uri`, which
/// are other files; `discard`, which removes elements; `metadata`, which draws nothing.
const ELEMENTS: &str = "
    a altGlyphDef altGlyphItem circle clipPath color-profile defs ellipse feBlend feColorMatrix feComponentTransfer feComposite
    feConvolveMatrix feDiffuseLighting feDisplacementMap feDistantLight feDropShadow feFlood feFuncA feFuncB feFuncG feFuncR
    feGaussianBlur feMerge feMergeNode feMorphology feOffset fePointLight feSpecularLighting feSpotLight feTile feTurbulence flowDiv
    flowLine flowPara flowRegion flowRegionExclude flowRoot flowSpan font font-face font-face-format font-face-name font-face-src g glyph
    hatchpath hkern line marker mask meshpatch meshrow missing-glyph path polygon polyline rect solidColor solidcolor stop svg switch
    symbol text tspan view vkern
";

/// Elements that may refer to others in the same document. Some writers spell `mpath` as `mPath`.
const REFERRING: &str = "
    altGlyph animate animateColor animateMotion animateTransform filter flowTref glyphRef hatch linearGradient mesh meshgradient mPath
    mpath pattern radialGradient set textPath tref use
";

/// Attributes that hold text, numbers and keywords.
const PLAIN: &str = "
    accent-height accumulate additive alphabetic amplitude arabic-form ascent attributeType azimuth baseFrequency baseProfile bbox begin
    bias calcMode cap-height class clipPathUnits d descent description diffuseConstant divisor dur dx dy edgeMode elevation end exponent
    externalResourcesRequired filterPrimitiveUnits filterRes filterUnits format fr fx fy g1 g2 glyph-name glyphRef gradientUnits hanging
    hatchContentUnits hatchUnits hidden horiz-adv-x horiz-origin-x horiz-origin-y id ideographic in in2 intercept k k1 k2 k3 k4
    kernelMatrix kernelUnitLength keyPoints keySplines keyTimes lang lengthAdjust limitingConeAngle local markerHeight markerUnits
    markerWidth maskContentUnits maskUnits mathematical max media method min mode name numOctaves offset operator order orient orientation
    origin overline-position overline-thickness panose-1 path pathLength patternContentUnits patternUnits pitch playbackorder points
    pointsAtX pointsAtY pointsAtZ preserveAlpha preserveAspectRatio primitiveUnits radius refX refY rendering-intent repeatCount repeatDur
    requiredExtensions requiredFeatures restart result role rotate scale seed side slope spacing specularConstant specularExponent
    spreadMethod startOffset stdDeviation stemh stemv stitchTiles strikethrough-position strikethrough-thickness string surfaceScale
    systemLanguage tabindex tableValues targetX targetY textLength timelinebegin title type u1 u2 underline-position underline-thickness
    unicode unicode-range units-per-em v-alphabetic v-hanging v-ideographic v-mathematical version vert-adv-y vert-origin-x vert-origin-y
    viewBox viewTarget widths x-height x1 x2 xChannelSelector y1 y2 yChannelSelector z zoomAndPan
";

/// Attributes that browsers parse as CSS, which may contain `url()`.
const STYLE: &str = "
    alignment-baseline backdrop-filter background-color baseline-shift baseline-source blend buffered-rendering clip clip-path clip-rule
    color color-interpolation color-interpolation-filters color-profile color-rendering color-scheme cursor cx cy direction display
    dominant-baseline enable-background fill fill-opacity fill-rule filter flood-color flood-opacity font font-family
    font-feature-settings font-kerning font-optical-sizing font-palette font-size font-size-adjust font-stretch font-style font-synthesis
    font-variant font-variant-alternates font-variant-caps font-variant-east-asian font-variant-ligatures font-variant-numeric
    font-variant-position font-variation-settings font-weight glyph-orientation-horizontal glyph-orientation-vertical gradientTransform
    hatchTransform height image-rendering inline-size isolation kerning letter-spacing lighting-color line-height marker marker-end
    marker-mid marker-start mask mask-clip mask-composite mask-image mask-mode mask-origin mask-position mask-repeat mask-size mask-type
    mix-blend-mode opacity overflow paint-order patternTransform pointer-events r rx ry shape-image-threshold shape-inside shape-margin
    shape-padding shape-rendering shape-subtract solid-color solid-opacity stop-color stop-opacity stroke stroke-dasharray
    stroke-dashoffset stroke-linecap stroke-linejoin stroke-miterlimit stroke-opacity stroke-width style text-align text-align-last
    text-anchor text-decoration text-decoration-color text-decoration-line text-decoration-style text-decoration-thickness text-indent
    text-orientation text-overflow text-rendering text-shadow text-transform text-underline-offset text-underline-position transform
    transform-box transform-origin unicode-bidi vector-effect visibility white-space width will-change word-break word-spacing
    writing-mode x y
";

/// Attributes of animations.
const ANIMATION: &str = "by from to values";

static KNOWN_ELEMENTS: LazyLock<HashMap<&str, Element>> = LazyLock::new(|| {
    let group = |names: &'static str, content, target| {
        names.split_whitespace().map(move |name| Element {
            name,
            content,
            target,
        })
    };
    group(ELEMENTS, ElementContent::Elements, HrefTarget::Nothing)
        .chain(group(
            REFERRING,
            ElementContent::Elements,
            HrefTarget::Element,
        ))
        .chain(group(
            "image",
            ElementContent::Elements,
            HrefTarget::Picture,
        ))
        .chain(group(
            "feImage",
            ElementContent::Elements,
            HrefTarget::Either,
        ))
        .chain(group(
            "desc title",
            ElementContent::Text,
            HrefTarget::Nothing,
        ))
        .chain(group("style", ElementContent::Style, HrefTarget::Nothing))
        .map(|element| (element.name, element))
        .collect()
});

static KNOWN_ATTRIBUTES: LazyLock<HashMap<&str, AttributeKind>> = LazyLock::new(|| {
    let group =
        |names: &'static str, meaning| names.split_whitespace().map(move |name| (name, meaning));
    group(PLAIN, AttributeKind::Plain)
        .chain(group(STYLE, AttributeKind::Style))
        .chain(group(ANIMATION, AttributeKind::Animation))
        .chain([("attributeName", AttributeKind::Animated)])
        .collect()
});

/// The element of SVG with this name.
pub(crate) fn element(name: &[u8]) -> Option<&'static Element> {
    KNOWN_ELEMENTS.get(from_utf8(name).ok()?)
}

/// The attribute with this name, which is in no namespace.
pub(crate) fn attribute(name: &[u8]) -> Option<(&str, AttributeKind)> {
    let name = from_utf8(name).ok()?;
    let noted = || {
        // For selectors in style sheets, and for screen readers.
        let rest = name
            .strip_prefix("data-")
            .or_else(|| name.strip_prefix("aria-"))?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (!rest.is_empty() && rest.bytes().all(is_plain)).then_some(AttributeKind::Plain)
    };
    let meaning = KNOWN_ATTRIBUTES.get(name).copied().or_else(noted)?;
    Some((name, meaning))
}

/// Whether an attribute may be animated: no reference (which could become a script), no event handler, and no style.
pub(crate) fn may_be_animated(name: &str) -> bool {
    name != "style"
        && matches!(
            KNOWN_ATTRIBUTES.get(name),
            Some(AttributeKind::Plain | AttributeKind::Style)
        )
}
