# Snippets for Fastly. Varnish has the same subroutines.

# recv: one spelling of `Accept` for each kind of client.
if (req.url ~ "^/cdn-cgi/(image|imagedelivery)/") {
  declare local var.kinds STRING;
  set var.kinds = "";
  if (req.http.Accept ~ "(?i)image/jxl") { set var.kinds = var.kinds "image/jxl,"; }
  if (req.http.Accept ~ "(?i)image/avif") { set var.kinds = var.kinds "image/avif,"; }
  if (req.http.Accept ~ "(?i)image/webp") { set var.kinds = var.kinds "image/webp,"; }
  set req.http.Accept = var.kinds "image/*";
}

# fetch: what safelight says about time holds; a picture that is over may be shown while a new one is fetched, or while safelight is away.
if (req.url ~ "^/cdn-cgi/(image|imagedelivery)/" && beresp.status == 200) {
  set beresp.stale_while_revalidate = 1h;
  set beresp.stale_if_error = 1d;
}
