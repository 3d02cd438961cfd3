use crate::codecs::svg::sanitize::sanitize;
use crate::codecs::svg::sanitize::tests::{LIMIT, inside};
use crate::codecs::svg::sanitize::vocabulary::SVG;

#[test]
fn active_content_is_removed() {
    for (source, expected) in [
        (
            "a<script>alert(1)</script>b<!-- <script> --><?x y?>c",
            "abc",
        ),
        (
            "<script href='#a'/><SCRIPT/><sCrIpT xlink:href='data:,alert(1)'/>",
            "",
        ),
        (
            "<style><![CDATA[a{fill:red}]]></style>",
            "<style>a{fill:red}</style>",
        ),
        (
            "<text><![CDATA[<script>&amp;]]></text>",
            "<text>&lt;script&gt;&amp;amp;</text>",
        ),
        (
            "<g onclick='a' ONCLICK='a' xlink:onclick='a' on='a' formaction='a' src='a' srcdoc='a' xml:base='a' nonce='a'/>",
            "<g/>",
        ),
        (
            "<handler type='a'/><listener/><discard/><iframe/><video/><audio/><canvas/><embed/><object/><animation/><cursor/><font-face-uri/><metadata/><unknown/>",
            "",
        ),
        (
            "<a href='#a' xlink:href='javascript:alert(1)' target='_top' download='a' ping='a'>b</a>",
            "<a>b</a>",
        ),
        (
            "<foreignObject><svg><rect/></svg></foreignObject><rect/>",
            "<rect/>",
        ),
        // References only to the document itself, however other parsers read them.
        (
            "<use href=' #a'/><use href='#a b'/>",
            "<use href=\"#a\"/><use href=\"#a b\"/>",
        ),
        (
            "<use href='a.svg#a'/><use href='//a/#a'/><use href='?#a'/><use href=''/><use href='\u{200B}#a'/><use href='\\#a'/><use href='java&#9;script:a#b'/>",
            "<use/><use/><use/><use/><use/><use/><use/>",
        ),
        (
            "<use href='data:image/svg+xml;base64,PHN2Zy8+#a'/><use href='blob:https://a/b#c'/><use href='view-source:#a'/>",
            "<use/><use/><use/>",
        ),
        (
            "<image href='#a'/><image href='/a.png'/><image href='a.png'/><image href='file:a.png'/>",
            "<image/><image/><image/><image/>",
        ),
        (
            "<image href='data:image/png;base64,PHN2Zy8+'/><image href='data:image/svg+xml,&lt;svg/>'/><image href='data:,a'/><image href='data:text/xml;base64,iVBORw0KGgo='/>",
            "<image/><image/><image/><image/>",
        ),
        (
            "<rect href='#a'/><g xlink:href='#a'/><svg href='#a'/><style href='a'/>",
            "<rect/><g/><svg/><style></style>"
                .replace("<style></style>", "<style/>")
                .as_str(),
        ),
        // Animations of active attributes, by any name.
        (
            "<animate attributeName='href' values='javascript:alert(1)'/>",
            "",
        ),
        (
            "<animate attributeName='xlink:href' to='javascript:alert(1)'/>",
            "",
        ),
        (
            "<animate attributeName=' href ' to='a'/><set attributeName='x:href' to='a'/>",
            "",
        ),
        (
            "<set attributeName='onmouseover' to='alert(1)'/><set attributeName='style' to='a'/><set attributeName='STYLE' to='a'/>",
            "",
        ),
        (
            "<set attributeName='attributeName' to='href'/><set attributeName='to' to='a'/><set attributeName='xmlns' to='a'/><set attributeName='data-a' to='a'/>",
            "",
        ),
        (
            "<animate attributeName='fill' to='url(https://evil.test/#a)' from='javascript:alert(1)' by='DATA:a' values='a;b:c'/>",
            "<animate attributeName=\"fill\" to=\"url(#)\"/>"
                .replace(" to=\"url(#)\"", "")
                .as_str(),
        ),
        (
            "<animate attributeName=' fill ' to='url(/a#a)'/>",
            "<animate attributeName=\"fill\" to=\"url(#)\"/>",
        ),
        ("<animateMotion attributeName='href' path='M0 0'/>", ""),
        (
            "<animateTransform attributeName='href' to='a'><set attributeName='x' to='1'/></animateTransform>",
            "",
        ),
        // What HTML parsers read differently.
        (
            "<title><style>&lt;/style&gt;&lt;img src=x onerror=alert(1)></style>a</title>",
            "<title>a</title>",
        ),
        (
            "<style><g title='&lt;/style>&lt;img src=x onerror=alert(1)>'/>a{}</style>",
            "<style>a{}</style>",
        ),
        (
            "<desc><![CDATA[</desc><img onerror=alert(1)>]]></desc>",
            "<desc>&lt;/desc&gt;&lt;img onerror=alert(1)&gt;</desc>",
        ),
        (
            "<g id='&lt;/g>&lt;script>&quot;&apos;'/>",
            "<g id=\"&lt;/g&gt;&lt;script&gt;&quot;'\"/>",
        ),
        (
            "<p/><img src='a'/><math/><mglyph/><annotation-xml/><noscript/><svg/>",
            "<svg/>",
        ),
        ("<rect/onload='alert(1)'/>", ""),
    ] {
        assert_eq!(inside(source), expected, "{source}");
    }
}

/// Attacks on other sanitizers, from their public reports.
#[test]
fn attacks_on_other_sanitizers_are_removed() {
    for (source, expected) in [
        // svg-hush: a namespace that was written without escaping (its issue 15).
        (
            "<g xmlns:a='&quot; onload=&quot;alert(1)' a:b='c'/>",
            "<g/>",
        ),
        // svg-sanitizer: white space in a scheme (its issue 31), other names of scripts and references by a prefix (CVE-2026-34605 and
        // CVE-2026-22610 of others).
        (
            "<a href='javascript&#9;:alert(1)'/><a xlink:href='java&#x0A;script:alert(1)'/>",
            "<a/><a/>",
        ),
        (
            "<x:script xmlns:x='http://www.w3.org/2000/svg'>alert(1)</x:script>",
            "",
        ),
        (
            "<a xmlns:s='http://www.w3.org/1999/xlink' s:href='javascript:alert(1)'/>",
            "<a/>",
        ),
        // CVE-2022-23638: markup that ends elsewhere for an HTML parser, and `font`, at which an HTML parser leaves SVG.
        (
            "<!--><img src='' onerror='alert(1)'/><!--><rect/>",
            "<rect/>",
        ),
        (
            "<?x ><img src='' onerror='alert(1)'/><?x?><rect/>",
            "<rect/>",
        ),
        (
            "<p/><![CDATA[><img src onerror=alert(1)>]]><font face='' color='red' size='1'/>",
            "&gt;&lt;img src onerror=alert(1)&gt;<font/>",
        ),
        // CVE-2023-28426: CDATA in styles.
        (
            "<style><![CDATA[s{a:\"<textarea></style><img src onerror=alert(1)>\"}]]></style>",
            "<style>s{a:\"&lt;textarea&gt;&lt;/style&gt;&lt;img src onerror=alert(1)&gt;\"}</style>",
        ),
        // DOMPurify 2.2.0 and 2.2.3.
        (
            "<mtext><style><path id='&lt;/style>&lt;img onerror=alert(1) src>'/></style></mtext>",
            "",
        ),
        (
            "<desc><noscript>&lt;/noscript>&lt;/desc>&lt;style>&lt;a title='&lt;/style>&lt;img src onerror=alert(1)>'></noscript></desc>",
            "<desc></desc>",
        ),
        // A document in a document (CVE-2021-43818 of lxml).
        (
            "<image href='data:image/svg+xml;base64,PHN2Zz48c2NyaXB0Lz48L3N2Zz4='/><use href='data:image/svg+xml,a#b'/>",
            "<image/><use/>",
        ),
    ] {
        assert_eq!(inside(source), expected, "{source}");
    }
    let root = format!("<svg xmlns='{SVG}&quot; onload=&quot;alert(1)'/>");
    assert!(sanitize(&root, LIMIT).is_err());
}
