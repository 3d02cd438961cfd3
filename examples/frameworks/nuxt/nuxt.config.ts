export default defineNuxtConfig({
  compatibilityDate: "2026-11-01",
  telemetry: false,
  modules: ["@nuxt/image"],
  css: ["../style.css"],
  app: {
    head: {
      htmlAttrs: { lang: "en" },
      title: "safelight in Nuxt",
      meta: [{ name: "description", content: "Pictures from safelight in Nuxt" }],
      link: [{ rel: "icon", href: "data:," }],
    },
  },
  image: {
    // safelight speaks the dialect of Cloudflare.
    provider: "cloudflare",
    cloudflare: { baseURL: "/", modifiers: { format: "auto", quality: 75 } },
    densities: [1, 2],
    screens: { xs: 370, sm: 640, md: 768, lg: 1024, xl: 1280 },
  },
});
