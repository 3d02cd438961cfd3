import { IMAGE_CONFIG, IMAGE_LOADER, type ImageLoaderConfig, NgOptimizedImage } from "@angular/common";
import { Component, provideZonelessChangeDetection } from "@angular/core";
import { bootstrapApplication } from "@angular/platform-browser";

/** Where safelight listens; empty where the site and safelight have one host. */
const SAFELIGHT = "";

/** As `provideCloudflareLoader` writes URLs, which insists on a host. */
function loader({ src, width }: ImageLoaderConfig): string {
  const size = width ? `width=${width},` : "";
  return `${SAFELIGHT}/cdn-cgi/image/${size}quality=75,format=auto/${src}`;
}

@Component({
  selector: "app-root",
  imports: [NgOptimizedImage],
  template: `
    <main>
      <h1>safelight in Angular</h1>
      <figure>
        <img
          ngSrc="dandelion.jpg"
          width="5312"
          height="2988"
          sizes="(min-width: 74rem) 72rem, calc(100vw - 2rem)"
          priority
          alt="A dandelion clock in a meadow, lit from behind by the low sun"
        />
      </figure>
      <div class="pair">
        <figure>
          <img
            ngSrc="mountains.jpg"
            width="1333"
            height="751"
            sizes="(min-width: 74rem) 35.5rem, (min-width: 48rem) 50vw, 100vw"
            alt="A worn path climbing a green slope towards grey cliffs with patches of snow"
          />
        </figure>
        <figure>
          <img
            ngSrc="dogs.jpg"
            width="2056"
            height="3088"
            sizes="(min-width: 74rem) 35.5rem, (min-width: 48rem) 50vw, 100vw"
            alt="Two brown spaniels leaning out of a window in a wooden wall"
          />
        </figure>
      </div>
      <figure class="below">
        <img ngSrc="fig.png" width="640" height="500" sizes="20rem" alt="A halved fig in a red bowl" />
      </figure>
    </main>
  `,
})
class App {}

bootstrapApplication(App, {
  providers: [
    provideZonelessChangeDetection(),
    { provide: IMAGE_LOADER, useValue: loader },
    // Those that its pages need, and twice as many pixels of each.
    { provide: IMAGE_CONFIG, useValue: { breakpoints: [320, 400, 680, 800, 1200, 1600, 2400] } },
  ],
});
