// One control for each option, made from the table of options that the server sends.

// Where an option stands, in this order, by the beginning of its name. One that is nowhere stands in the last, so that a new option has its control
// without a change here.
const GROUPS = [
  ["Size", ["width", "height", "fit", "gravity", "dpr", "upscale", "zoom"]],
  ["Format and quality", ["format", "quality", "auto-quality", "max-bytes", "compression", "anim", "metadata"]],
  ["Colour and sharpness", ["background", "blur", "sharpen", "brightness", "contrast", "gamma", "saturation"]],
  ["Turn and cut", ["rotate", "flip", "trim"]],
  ["Border", ["border"]],
  ["More", [""]],
];

// The group of an option, and its place there.
function placeOf(name) {
  const group = GROUPS.findIndex(([, names]) => names.some((known) => name.startsWith(known)));
  return [group, GROUPS[group][1].findIndex((known) => name.startsWith(known))];
}

// Makes the controls in `place`, and returns what reads and writes them. `changed` is called after each change.
export function makeControls(place, table, changed) {
  const controls = new Map();
  // On a phone the result would be far below.
  const isWide = matchMedia("(min-width: 60rem)").matches;
  const bodies = GROUPS.map(([title], index) => {
    const group = element("details", { open: index < 2 && isWide });
    group.append(element("summary", { textContent: title }));
    place.append(group);
    return group;
  });
  for (const row of table) controls.set(row.names[0], makeControl(row, changed));
  const inOrder = [...controls].sort(([one], [other]) => placeOf(one)[1] - placeOf(other)[1]);
  for (const [name, control] of inOrder) bodies[placeOf(name)[0]].append(control.element);
  for (const body of bodies) if (!body.querySelector(".option")) body.remove();
  return {
    // The options in the order of the table, as in a URL.
    text: () => [...controls].filter(([, control]) => control.get()).map(([name, control]) => `${name}=${encode(control.get())}`).join(","),
    get: (name) => controls.get(name)?.get() ?? "",
    set(text) {
      const values = new Map(text.split(",").filter(Boolean).map((pair) => [pair.slice(0, pair.indexOf("=")), decode(pair.slice(pair.indexOf("=") + 1))]));
      for (const [name, control] of controls) control.set(values.get(name) ?? "");
    },
    // Shows the options that have the words in their name or meaning.
    find(words) {
      const wanted = words.trim().toLowerCase();
      for (const control of controls.values()) control.element.hidden = !control.words.includes(wanted);
      for (const body of bodies) {
        body.hidden = !body.querySelector(".option:not([hidden])");
        if (wanted) body.open = true;
      }
    },
  };
}

// What would end the options, or the value, in a URL.
function encode(value) {
  return value.trim().replace(/[%,/?#\s]/g, (character) => encodeURIComponent(character));
}

function decode(value) {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

function makeControl({ names, values, domain, default: without, meaning }, changed) {
  const id = `option-${names[0].replaceAll(".", "-")}`;
  const inputs = inputsOf(domain, id);
  const [main] = inputs;
  const box = element("div", { className: "option" });
  const row = element("div", { className: "row" });
  row.append(...inputs);
  const help = element("p", { id: `${id}-help`, textContent: `${plain(meaning)} ${sentence(values, without)}` });
  const label = element("label", { htmlFor: id, textContent: names.join(", ") });
  main.setAttribute("aria-describedby", help.id);
  box.append(label, row, help);
  const mark = () => box.classList.toggle("set", main.value.trim() !== "");
  for (const input of inputs) {
    input.addEventListener("input", () => {
      if (input !== main) main.value = input.value;
      mark();
      changed();
    });
  }
  return {
    element: box,
    words: `${names.join(" ")} ${meaning}`.toLowerCase(),
    get: () => main.value.trim(),
    set(value) {
      main.value = value;
      mark();
    },
  };
}

// The first input has the value; a second one helps to choose it.
function inputsOf(domain, id) {
  const { numbers, words, example, is_color: isColor } = domain;
  if (words.length > 0 && !numbers && !example) {
    const select = element("select", { id });
    select.append(element("option", { value: "", textContent: "–" }), ...words.map((word) => element("option", { value: word, textContent: word })));
    return [select];
  }
  if (numbers && words.length === 0) {
    const input = element("input", { id, type: "number", min: numbers.min, step: numbers.is_whole ? 1 : "any", inputMode: "decimal" });
    if (numbers.max !== null) input.max = numbers.max;
    return [input];
  }
  const input = element("input", { id, type: "text", spellcheck: false, autocomplete: "off", placeholder: example ?? `${numbers.min}` });
  input.setAttribute("autocapitalize", "none");
  if (isColor) {
    return [input, element("input", { type: "color", ariaLabel: `${id.replace("option-", "")}: choose a colour`, value: "#ffffff" })];
  }
  if (words.length > 0) {
    const select = element("select", { ariaLabel: `${id.replace("option-", "")}: choose a word` });
    select.append(element("option", { value: "", textContent: "–" }), ...words.map((word) => element("option", { value: word, textContent: word })));
    return [input, select];
  }
  return [input];
}

function sentence(values, without) {
  const text = `Takes ${values}.`;
  return without ? `${text} Without it: ${plain(without)}.` : text;
}

// Marks of Markdown have no meaning here.
function plain(text) {
  return text.replaceAll("`", "").trim();
}

export function element(name, properties = {}) {
  return Object.assign(document.createElement(name), properties);
}
