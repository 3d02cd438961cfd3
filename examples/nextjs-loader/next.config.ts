import type { NextConfig } from "next";
import { safelight, sources } from "./image-loader";

// With a custom loader Next.js answers 404 at /_next/image, so the loader's fallback goes to safelight, which
// speaks that dialect too. It has to be `beforeFiles`: Next.js claims the path before it looks at other rewrites.
const throughSafelight: NextConfig = {
  images: { loader: "custom", loaderFile: "./image-loader.ts" },
  async rewrites() {
    return { beforeFiles: [{ source: "/_next/image", destination: `${safelight}/_next/image` }] };
  },
};

// Without safelight Next.js answers those same URLs itself.
const throughNext: NextConfig = {
  images: { remotePatterns: sources.map((bucket) => new URL(`${bucket}/**`)) },
};

const config: NextConfig = safelight ? throughSafelight : throughNext;

export default config;
