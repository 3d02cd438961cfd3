#!/usr/bin/env python3
"""Draws what the programs in the table of README.md draw, from inputs of our own: make.py FOLDER.

Needs: graphviz, plantuml and inkscape (Debian 12), chromium; pip: matplotlib, qrcode, svgwrite; npm, in ./node_modules: d3, linkedom, vega,
vega-lite, @mermaid-js/mermaid-cli. Each is run by itself and skipped where it is missing."""

import io
import json
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as tree

OUT = pathlib.Path(sys.argv[1])


def save(name, text):
    (OUT / name).write_bytes(text if isinstance(text, bytes) else text.encode())


def run(*command, text=""):
    return subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout


def elementtree():
    ns = "{http://www.w3.org/2000/svg}"
    root = tree.Element(ns + "svg", width="120", height="80", viewBox="0 0 120 80")
    defs = tree.SubElement(root, ns + "defs")
    shade = tree.SubElement(defs, ns + "linearGradient", id="shade")
    for offset, color in (("0", "#8ecae6"), ("1", "#023047")):
        tree.SubElement(shade, ns + "stop", {"offset": offset, "stop-color": color})
    for index in range(5):
        tree.SubElement(root, ns + "rect", x=str(8 + 22 * index), y=str(60 - 11 * index), width="16", height=str(12 + 11 * index), fill="url(#shade)")
    label = tree.SubElement(root, ns + "text", {"x": "8", "y": "18", "font-family": "DejaVu Sans", "font-size": "11"})
    label.text = "Größe "
    bold = tree.SubElement(label, ns + "tspan", {"font-weight": "bold"})
    bold.text, bold.tail = "< 5", " & mehr"
    return tree.tostring(root, xml_declaration=True, encoding="us-ascii")


def graphviz():
    return run("dot", "-Tsvg", text='digraph G { rankdir=LR; graph [fontname="DejaVu Sans"]; node [fontname="DejaVu Sans" shape=box style="rounded,filled" fillcolor="#ffe8a3"];'
               'edge [fontname="DejaVu Sans"]; a [label="fetch & check"]; b [label="decode" URL="https://example.org/?a=1&amp;b=2" tooltip="no < way"]; c [shape=ellipse];'
               'a -> b [label="bytes"]; b -> c [style=dashed]; c -> a [color="#c2185b"]; }')


def plantuml():
    return run("plantuml", "-tsvg", "-pipe", text="@startuml\nskinparam defaultFontName DejaVu Sans\nactor Reader\nparticipant \"Proxy <b>edge</b>\" as P\nReader -> P : GET /a.svg\n"
               "P -> P : clean & keep\nP --> Reader : 200  OK\nnote right: two  spaces\n@enduml\n")


def matplotlib(fonttype):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": fonttype, "svg.hashsalt": "a", "font.family": "DejaVu Sans"})
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(3, 2))
    axes.plot([0, 1, 2, 3], [1, 3, 2, 5], "o-", label="a & b")
    axes.fill_between([0, 1, 2, 3], [0, 1, 1, 2], alpha=0.3, hatch="//")
    axes.set_title("sales < costs")
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return buffer.getvalue()


def qrcode():
    import qrcode as library
    import qrcode.image.svg as svg
    buffer = io.BytesIO()
    library.make("https://example.org/", image_factory=svg.SvgImage, box_size=6).save(buffer)
    return buffer.getvalue()


def svgwrite():
    import svgwrite as library
    drawing = library.Drawing(size=("140px", "90px"), profile="full", debug=False)
    mark = drawing.marker(insert=(5, 5), size=(10, 10), orient="auto")
    mark.add(drawing.path("M0 0L10 5L0 10z", fill="#d00"))
    drawing.defs.add(mark)
    curve = drawing.path("M10 70C40 10 90 110 130 30", stroke="#333", fill="none", id="curve")
    curve.set_markers((None, False, mark))
    drawing.add(curve)
    text = drawing.add(drawing.text("", font_size=11, font_family="DejaVu Sans"))
    text.add(library.text.TextPath(curve, "along a  curve", startOffset="12%"))
    pattern = drawing.pattern(size=(6, 6), patternUnits="userSpaceOnUse", id="dots")
    pattern.add(drawing.circle((3, 3), 2, fill="#2a9d8f"))
    drawing.defs.add(pattern)
    drawing.add(drawing.rect((8, 8), (40, 22), fill="url(#dots)", stroke="#264653"))
    return drawing.tostring()


def inkscape(plain):
    source = OUT / ".inkscape.svg"
    source.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="60mm" height="40mm" viewBox="0 0 60 40"><defs><radialGradient id="g"><stop offset="0" stop-color="#fff"/>'
                      '<stop offset="1" stop-color="#e76f51"/></radialGradient><filter id="f"><feGaussianBlur stdDeviation="0.6"/></filter></defs>'
                      '<circle cx="18" cy="20" r="13" fill="url(#g)" filter="url(#f)"/><g transform="rotate(8 40 20)"><rect x="32" y="10" width="20" height="20" rx="3" fill="#264653"/></g>'
                      '<text x="5" y="37" font-family="DejaVu Sans" font-size="4"><tspan>ink</tspan><tspan font-weight="bold">scape</tspan></text></svg>')
    target = OUT / ".made.svg"
    run("inkscape", str(source), "--actions", f"select-all;export-filename:{target};export-{'plain-svg' if plain else 'type:svg'};export-do")
    made = target.read_bytes()
    source.unlink()
    target.unlink()
    return made


def node(script):
    return run("node", "--input-type=module", text=script)


D3 = """
import * as d3 from "d3"; import {parseHTML} from "linkedom";
const {document} = parseHTML("<html><body></body></html>");
const data = [["a", 4], ["b", 9], ["c", 6], ["d & e", 2]];
const svg = d3.select(document.body).append("svg").attr("xmlns", "http://www.w3.org/2000/svg").attr("width", 220).attr("height", 130).attr("font-family", "DejaVu Sans");
const x = d3.scaleBand(data.map(d => d[0]), [30, 210]).padding(0.2), y = d3.scaleLinear([0, 10], [105, 10]);
svg.append("g").selectAll("rect").data(data).join("rect").attr("x", d => x(d[0])).attr("y", d => y(d[1])).attr("width", x.bandwidth()).attr("height", d => 105 - y(d[1])).attr("fill", (d, i) => d3.schemeTableau10[i]);
svg.append("g").attr("transform", "translate(0,105)").call(d3.axisBottom(x)); svg.append("g").attr("transform", "translate(30,0)").call(d3.axisLeft(y).ticks(5));
svg.append("path").attr("fill", "none").attr("stroke", "#333").attr("d", d3.line().x(d => x(d[0]) + x.bandwidth() / 2).y(d => y(d[1])).curve(d3.curveCatmullRom)(data));
console.log(svg.node().outerHTML);
"""

VEGA = """
import * as vega from "vega"; import {compile} from "vega-lite";
const spec = {width: 160, height: 90, config: {font: "DejaVu Sans"}, data: {values: [1, 4, 2, 6, 3].map((v, i) => ({i, v, c: i % 2 ? "odd" : "even"}))},
  mark: {type: "bar", tooltip: true}, encoding: {x: {field: "i", type: "ordinal"}, y: {field: "v", type: "quantitative", title: "value < 7"}, color: {field: "c"}}};
console.log(await new vega.View(vega.parse(compile(spec).spec), {renderer: "none"}).toSVG());
"""


def mermaid(text, **config):
    folder = OUT / ".mermaid"
    folder.mkdir(exist_ok=True)
    (folder / "in.mmd").write_text(text)
    (folder / "config.json").write_text(json.dumps({"htmlLabels": False, "flowchart": {"htmlLabels": False}, "fontFamily": "DejaVu Sans", "deterministicIds": True, **config}))
    (folder / "browser.json").write_text(json.dumps({"executablePath": "/usr/bin/chromium", "args": ["--no-sandbox"]}))
    run("node_modules/.bin/mmdc", "-q", "-i", str(folder / "in.mmd"), "-o", str(folder / "out.svg"), "-c", str(folder / "config.json"), "-p", str(folder / "browser.json"))
    made = (folder / "out.svg").read_bytes()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    return made


MAKERS = {
    "elementtree.svg": elementtree,
    "graphviz.svg": graphviz,
    "plantuml.svg": plantuml,
    "matplotlib-paths.svg": lambda: matplotlib("path"),
    "matplotlib-text.svg": lambda: matplotlib("none"),
    "qrcode.svg": qrcode,
    "svgwrite.svg": svgwrite,
    "inkscape.svg": lambda: inkscape(False),
    "inkscape-plain.svg": lambda: inkscape(True),
    "d3.svg": lambda: node(D3),
    "vega.svg": lambda: node(VEGA),
    "mermaid-flow.svg": lambda: mermaid("flowchart LR\n  A[fetch] -->|bytes| B(decode)\n  B --> C{fits?}\n  C -- no --> A\n"),
    "mermaid-sequence.svg": lambda: mermaid("sequenceDiagram\n  Reader->>Proxy: GET a.svg\n  Proxy-->>Reader: 200 & done\n  Note right of Proxy: clean it\n"),
    "mermaid-pie.svg": lambda: mermaid("pie title Bytes\n  \"icons\" : 40\n  \"maps\" : 25\n  \"charts\" : 35\n"),
}
for name, maker in MAKERS.items():
    try:
        save(name, maker())
    except (OSError, ImportError, subprocess.CalledProcessError) as error:
        print(f"{name}: {error} {getattr(error, 'stderr', b'')[-400:]}", file=sys.stderr)
