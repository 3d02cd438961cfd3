//! URLs as known generators write them.

use super::check;

#[test]
fn section_11_urls_of_known_generators_are_accepted() {
    let zone = "/cdn-cgi/image/";
    // The loader in Cloudflare's documentation, then the one in that of Next.js, which keeps the slash of a local path.
    check(
        "/cdn-cgi/image/width=640,quality=75/me.png",
        "width=640,quality=75",
        "/me.png",
    );
    check(
        "https://example.com/cdn-cgi/image/width=640,quality=75,format=auto//me.png",
        "width=640,quality=75,format=auto",
        "/me.png",
    );
    // OpenNext.
    check(
        "/cdn-cgi/image/width=640,quality=75,format=auto/_next/static/media/photo.png",
        "width=640,quality=75,format=auto",
        "/_next/static/media/photo.png",
    );
    check(
        "/cdn-cgi/image/width=640,quality=75,format=auto/https://example.com/photo.jpg",
        "width=640,quality=75,format=auto",
        "https://example.com/photo.jpg",
    );
    // Nuxt Image; `g=side` is not a value and is passed over.
    check(
        "/cdn-cgi/image/w=200,h=200,fit=contain,f=jpeg/test.png",
        "width=200,height=200,fit=contain,format=jpeg",
        "/test.png",
    );
    check(
        "https://that-test.site/cdn-cgi/image/h=300,fit=contain/https://s3.that-test.site/burger.jpeg",
        "height=300,fit=contain",
        "https://s3.that-test.site/burger.jpeg",
    );
    check(
        "/cdn-cgi/image/w=200,g=side/test.png",
        "width=200",
        "/test.png",
    );
    check(
        "/cdn-cgi/image/w=200,background=%23ff0000/test.png",
        "width=200,background=%23ff0000",
        "/test.png",
    );
    // unpic, and the component libraries built on it.
    check(
        "/cdn-cgi/image/width=200,height=100,f=webp,fit=cover/uploads/a.jpeg",
        "width=200,height=100,format=webp,fit=cover",
        "/uploads/a.jpeg",
    );
    check(
        "/cdn-cgi/image/width=200,f=auto,fit=cover/https%3A%2F%2Fb.s3.eu-west-1.amazonaws.com%2Fa.jpg%3FX-Amz-Signature%3D00",
        "width=200,format=auto,fit=cover",
        "https://b.s3.eu-west-1.amazonaws.com/a.jpg?X-Amz-Signature=00",
    );
    // The Astro adapter, which passes values of Astro's own vocabulary through.
    check(
        "/cdn-cgi/image/onerror=redirect,width=300,height=200,quality=80,fit=cover,format=webp/_astro/x.hash.png",
        "onerror=redirect,width=300,height=200,quality=80,fit=cover,format=webp",
        "/_astro/x.hash.png",
    );
    check(
        "/cdn-cgi/image/width=300,quality=mid,fit=fill/_astro/x.hash.png",
        "width=300,quality=mid,fit=fill",
        "/_astro/x.hash.png",
    );
    check(
        "/cdn-cgi/image/width=300,quality=max,fit=none/https://h.test/x.png",
        "width=300,quality=max,fit=none",
        "https://h.test/x.png",
    );
    // Angular.
    check(
        "https://site.test/cdn-cgi/image/format=auto,width=640/a/b.jpg",
        "format=auto,width=640",
        "/a/b.jpg",
    );
    // WordPress.
    let wordpress =
        "width=80,height=80,fit=crop,quality=80,format=auto,onerror=redirect,metadata=none";
    check(
        &format!("{zone}{wordpress}/wp-content/uploads/2024/01/a.jpg"),
        wordpress,
        "/wp-content/uploads/2024/01/a.jpg",
    );
    // PictureRenderer.
    let picture = "width=300,format=auto,fit=crop,height=300,gravity=0.5x0.321";
    check(
        &format!("{zone}{picture}/https://mydomain.com/myImage.jpg"),
        picture,
        "https://mydomain.com/myImage.jpg",
    );
    check(
        "https://example.com/cdn-cgi/image/w=640,q=75/images/example.jpg",
        "width=640,quality=75",
        "/images/example.jpg",
    );
    // Mappers that encode every value.
    check(
        "/cdn-cgi/image/trim=20%3B30%3B20%3B0,background=%23fff,gravity=0.5x0.5/a.jpg",
        "trim=20;30;20;0,background=%23fff,gravity=0.5x0.5",
        "/a.jpg",
    );
    // dev.to.
    check(
        "/dynamic/image/width=800%2Cheight=%2Cfit=scale-down%2Cgravity=auto%2Cformat=auto/https%3A%2F%2Fdev-to-uploads.s3.amazonaws.com%2Fuploads%2Farticles%2Fa.png",
        "width=800,fit=scale-down,gravity=auto,format=auto",
        "https://dev-to-uploads.s3.amazonaws.com/uploads/articles/a.png",
    );
    check(
        "/dynamic/image/width=90,height=90,fit=cover,gravity=auto,format=auto/https:%2F%2Fdev-to-uploads.s3.amazonaws.com%2Fuploads%2Fuser%2Fa.png",
        "width=90,height=90,fit=cover,gravity=auto,format=auto",
        "https://dev-to-uploads.s3.amazonaws.com/uploads/user/a.png",
    );
    // Hand-written.
    let docs = "onerror=redirect,width=1363,height=904,format=webp";
    check(&format!("{zone}{docs}/_astro/a.png"), docs, "/_astro/a.png");
    let upscaled = "f=webp,fit=scale-up,width=500,upscale=generate,q=55,onerror=redirect";
    check(
        &format!("{zone}{upscaled}/https://h.test/a.png"),
        upscaled,
        "https://h.test/a.png",
    );
    check(
        "/cdn-cgi/image/format=json,anim=false/a.png",
        "format=json,anim=false",
        "/a.png",
    );
    check(
        "/cdn-cgi/image/width=360,sharpen=1,compression=fast/a.png",
        "width=360,sharpen=1,compression=fast",
        "/a.png",
    );
}
