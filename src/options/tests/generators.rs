//! Options as known generators of URLs write them.

use super::check;
use super::check_warned;

#[test]
fn section_11_urls_of_generators() {
    // The documentation's own loader for Next.js, and awes-io/resize
    check("width=640,quality=75", "quality=75,width=640");
    check("w=640,q=75", "quality=75,width=640");
    // Next.js documentation, OpenNext
    check(
        "width=640,quality=75,format=auto",
        "format=auto,quality=75,width=640",
    );
    // Nuxt Image
    check(
        "w=200,h=200,fit=contain,f=jpeg",
        "fit=contain,format=jpeg,height=200,width=200",
    );
    check("h=300,fit=contain", "fit=contain,height=300");
    check(
        "w=200,h=200,fit=pad,background=%23ff0000,sharpen=0.5,dpr=2",
        "background=%23ff0000,dpr=2,fit=pad,height=200,sharpen=0.5,width=200",
    );
    check_warned("w=200,g=side", "width=200", 1);
    // unpic
    check(
        "width=200,height=100,f=webp,fit=cover",
        "fit=cover,format=webp,height=100,width=200",
    );
    check(
        "w=256,h=256,f=webp,fit=cover",
        "fit=cover,format=webp,height=256,width=256",
    );
    check("f=auto,fit=cover", "fit=cover,format=auto");
    // Astro, with the words of its own that it passes through
    check(
        "onerror=redirect,width=300,height=200,quality=80,fit=cover,format=webp",
        "fit=cover,format=webp,height=200,onerror=redirect,quality=80,width=300",
    );
    check(
        "onerror=redirect,width=300,quality=mid,fit=fill,format=jpg",
        "fit=squeeze,format=jpeg,onerror=redirect,quality=medium-high,width=300",
    );
    check("width=300,quality=max", "quality=high,width=300");
    check("width=300,quality=high", "quality=high,width=300");
    check_warned("width=300,fit=none", "width=300", 1);
    check_warned("width=300,fit=inside", "width=300", 1);
    check_warned("width=300,fit=outside", "width=300", 1);
    // Angular
    check("format=auto,width=640", "format=auto,width=640");
    // WordPress
    check(
        "width=80,height=80,fit=crop,quality=80,format=auto,onerror=redirect,metadata=none",
        "fit=crop,format=auto,height=80,metadata=none,onerror=redirect,quality=80,width=80",
    );
    // PictureRenderer
    check(
        "width=300,format=auto,fit=crop,height=300,gravity=0.5x0.321",
        "fit=crop,format=auto,gravity=0.5x0.321,height=300,width=300",
    );
    // Laravel, up to where the browser cuts the URL
    check(
        "trim=border,trim.border.color=%23ffffff,trim.border.tolerance=10",
        "trim=border,trim.border.color=%23ffffff,trim.border.tolerance=10",
    );
    // Generic mappers that encode every value
    check(
        "trim=20%3B30%3B20%3B0,background=%23fff,gravity=0.5x0.5",
        "background=%23ffffff,gravity=0.5x0.5,trim.bottom=20,trim.left=0,trim.right=30,trim.top=20",
    );
    // dev.to
    check(
        "width=800%2Cheight=%2Cfit=scale-down%2Cgravity=auto%2Cformat=auto",
        "fit=scale-down,format=auto,gravity=auto,width=800",
    );
    check(
        "width=90,height=90,fit=cover,gravity=auto,format=auto",
        "fit=cover,format=auto,gravity=auto,height=90,width=90",
    );
    // The documentation's own site
    check(
        "onerror=redirect,width=1363,height=904,format=webp",
        "format=webp,height=904,onerror=redirect,width=1363",
    );
    // Written by hand
    check(
        "f=webp,fit=scale-up,width=500,upscale=generate,q=55,onerror=redirect",
        "fit=scale-up,format=webp,onerror=redirect,quality=55,upscale=generate,width=500",
    );
    check("format=json,anim=false", "anim=false,format=json");
    check(
        "width=360,sharpen=1,compression=fast",
        "compression=fast,sharpen=1,width=360",
    );
}
