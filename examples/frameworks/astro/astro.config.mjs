import { defineConfig } from "astro/config";

export default defineConfig({
  image: {
    service: { entrypoint: "./src/image-service.ts" },
    // Every `<Image>` gets `srcset` and `sizes`.
    layout: "constrained",
    responsiveStyles: true,
  },
});
