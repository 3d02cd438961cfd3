import Image from "next/image";
import { safelight, sources } from "../image-loader";

// Without a bucket the pictures come from safelight's own zone: examples/photos in the shipped configuration.
const bucket = sources[0] ?? "";
const dogs = bucket ? `${bucket}/dogs.jpg` : "dogs.jpg";
const dogsAt = (width: number) => `${safelight}/cdn-cgi/image/width=${width},quality=75,format=auto/${dogs}`;

export default function Page() {
  return (
    <main>
      <h1>safelight in a Next.js app</h1>

      <figure className="hero">
        <Image
          src={`${bucket}/dandelion.jpg`}
          alt="A dandelion clock in a meadow, lit from behind by the low sun"
          width={5312}
          height={2988}
          sizes="(max-width: 72rem) 100vw, 72rem"
          preload
        />
        <figcaption>
          A picture in {bucket ? "a bucket" : "safelight’s zone"}: <code>next/image</code> asks for it through the loader.
        </figcaption>
      </figure>

      <div className="pair">
        <figure>
          <Image
            src="/mountains.jpg"
            alt="A worn path climbing a green slope towards grey cliffs with patches of snow"
            width={800}
            height={451}
            sizes="(max-width: 48rem) 100vw, 42rem"
          />
          <figcaption>
            A picture in <code>public/</code>: the fallback, <code>/_next/image</code>.
          </figcaption>
        </figure>

        <figure>
          <img
            src={dogsAt(640)}
            srcSet={[320, 640, 960, 1280].map((width) => `${dogsAt(width)} ${width}w`).join(", ")}
            sizes="(max-width: 48rem) 100vw, 28rem"
            alt="Two brown spaniels leaning out of a window in a wooden wall"
            width={2056}
            height={3088}
            loading="lazy"
            decoding="async"
          />
          <figcaption>
            A plain <code>&lt;img srcset&gt;</code>: no loader at all.
          </figcaption>
        </figure>
      </div>
    </main>
  );
}
