import type { Metadata } from "next";
import type { ReactNode } from "react";
import "./style.css";

export const metadata: Metadata = {
  title: "safelight in a Next.js app",
  icons: { icon: "data:," },
  description: "Bucket pictures, local pictures and a plain srcset, all through safelight.",
};

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
