import adapter from "@sveltejs/adapter-static";
import { sveltekit } from "@sveltejs/kit/vite";
import { defineConfig } from "vite";

// The prerenderer follows every URL of the page. Pictures are not made at build time.
function handleHttpError({ path, message }) {
  if (!path.startsWith("/cdn-cgi/")) throw new Error(message);
}

export default defineConfig({ plugins: [sveltekit({ adapter: adapter(), prerender: { handleHttpError } })] });
