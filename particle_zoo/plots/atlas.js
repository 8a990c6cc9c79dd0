"use strict";
(async () => {
  const THUMBNAILS = 30;
  const NAMES = 60;
  const GREY = "#b8bcc6";
  const find = (id) => document.getElementById(id);
  const map = find("map");
  const about = JSON.parse(find("about").textContent);
  const n = about.ids.length;

  // What is written into the page is always text: names and ids come from the user's files.
  function make(tag, text, parent) {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  }

  async function unpack(text) {
    const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer();
  }

  const kinds = { float32: Float32Array, float64: Float64Array, int32: Int32Array, uint8: Uint8Array };
  const buffer = await unpack(find("values").textContent);
  const view = (part) => new kinds[part.type](buffer, part.start, part.length);
  const columns = about.columns.map((column) => ({ ...column, values: view(column.values) }));
  const named = new Map(columns.map((column) => [column.name, column]));
  const [pixels, height, width, shrunk] = ["pixels", "height", "width", "shrunk"].map((name) => view(about.pictures[name]));
  const start = new Float64Array(n + 1);
  for (let i = 0; i < n; i++) start[i + 1] = start[i] + height[i] * width[i];

  function number(value, digits = 4) {
    if (Number.isNaN(value)) return "";
    return String(Number.isInteger(value) ? value : Number(value.toPrecision(digits)));
  }

  const word = (column, code) => column.names[code] || (column.name === "label" ? "unlabelled" : "none");
  const cell = (column, i) => (column.names ? word(column, column.values[i]) : number(column.values[i]));

  // Colours ---------------------------------------------------------------------------------------------------------

  function span(column) {
    const known = column.values.filter(Number.isFinite).sort();
    const at = (share) => known[Math.round(share * (known.length - 1))];
    return { low: at(0.01), middle: at(0.5), high: at(0.99), least: known[0] };
  }

  function byName(column) {
    const counts = new Array(column.names.length).fill(0);
    for (const code of column.values) counts[code]++;
    const shades = column.names.map((_, code) => about.palette[code] ?? GREY);
    column.names.slice(0, NAMES).forEach((_, code) => {
      const button = make("button", undefined, find("legend"));
      button.type = "button";
      make("i", undefined, button).style.background = shades[code];
      make("span", word(column, code), button);
      make("small", counts[code].toLocaleString("en"), button);
      button.addEventListener("click", () => choose(positions((i) => column.values[i] === code)));
    });
    if (counts.length > NAMES) make("small", `and ${(counts.length - NAMES).toLocaleString("en")} more`, find("legend"));
    return Array.from(column.values, (code) => shades[code]);
  }

  function byNumber(column, { low, high }, log) {
    const scale = about.scales[column.cycle ? "twilight" : "viridis"];
    const [from, to] = column.cycle ? [0, column.cycle] : [low, high];
    const turn = log ? Math.log : (value) => value;
    const step = 255 / (turn(to) - turn(from) || 1);
    make("small", number(from), find("legend"));
    const bar = make("span", undefined, find("legend"));
    bar.id = "bar";
    bar.style.background = `linear-gradient(to right, ${scale.filter((_, i) => i % 15 === 0).join()})`;
    make("small", `${number(to)}${unit(column)}`, find("legend"));
    if (column.values.some(Number.isNaN)) make("small", "grey: not known", find("legend"));
    return Array.from(column.values, (value) => {
      const shade = Math.round((turn(value) - turn(from)) * step);
      return Number.isNaN(shade) ? GREY : scale[Math.min(255, Math.max(0, shade))];
    });
  }

  function unit(column) {
    if (column.cycle) return "°";
    return column.name.startsWith("energy_") ? ` ${about.unit}` : "";
  }

  function paint(fresh) {
    const column = named.get(find("colour").value);
    const log = find("log");
    find("legend").replaceChildren();
    let colours;
    if (column.names) {
      log.disabled = true;
      log.checked = false;
      colours = byName(column);
    } else {
      const range = span(column);
      log.disabled = !(range.least > 0) || Boolean(column.cycle);
      if (fresh) log.checked = !log.disabled && range.high > 20 * range.low;
      colours = byNumber(column, range, log.checked);
    }
    return Plotly.restyle(map, { "marker.color": [colours] }, [0]);
  }

  // One cluster -----------------------------------------------------------------------------------------------------

  const inferno = about.scales.inferno.map((text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)));

  function draw(canvas, i) {
    const small = document.createElement("canvas");
    [small.width, small.height] = [width[i], height[i]];
    const image = new ImageData(width[i], height[i]);
    for (let row = 0; row < height[i]; row++) {
      for (let col = 0; col < width[i]; col++) {
        const value = pixels[start[i] + row * width[i] + col];
        // Row 0 is at the bottom, as in the figures. The darkest colours would drown in the background.
        if (value) image.data.set([...inferno[50 + Math.round(value * 0.8)], 255], 4 * ((height[i] - 1 - row) * width[i] + col));
      }
    }
    small.getContext("2d").putImageData(image, 0, 0);
    const context = canvas.getContext("2d");
    const room = canvas.width / Math.max(width[i], height[i]);
    const zoom = room >= 1 ? Math.min(Math.floor(room), canvas.width / 8) : room;
    context.imageSmoothingEnabled = room < 1;
    context.clearRect(0, 0, canvas.width, canvas.height);
    const [across, down] = [width[i] * zoom, height[i] * zoom];
    context.drawImage(small, (canvas.width - across) / 2, (canvas.height - down) / 2, across, down);
  }

  let kept = false;

  function show(i) {
    const plane = map._fullLayout;
    const layout = about.maps[find("layout").value];
    const ring = find("ring");
    ring.style.left = `${plane.xaxis._offset + plane.xaxis.l2p(named.get(layout.x).values[i])}px`;
    ring.style.top = `${plane.yaxis._offset + plane.yaxis.l2p(named.get(layout.y).values[i])}px`;
    ring.hidden = false;
    find("name").textContent = `${cell(named.get("label"), i)}, id ${about.ids[i]}`;
    draw(find("picture"), i);
    const sum = named.get("energy_sum");
    const energy = sum && number(sum.values[i]);
    const size = named.get("size");
    find("energy").textContent =
      (energy ? `energy ${energy} ${about.unit}` : "energy not known") +
      (size ? `, ${number(size.values[i])} px` : "") +
      (shrunk[i] > 1 ? `, drawn 1:${shrunk[i]}` : "");
    find("features").replaceChildren();
    for (const group of ["features", "map", "table", "latent space"]) {
      const shown = columns.filter((column) => column.group === group);
      if (!shown.length) continue;
      const table = make("table", undefined, find("features"));
      make("caption", group, table);
      for (const column of shown) {
        const line = make("tr", undefined, table);
        make("td", column.name, line);
        const text = cell(column, i);
        make("td", text && !column.names ? text + unit(column) : text, line);
      }
    }
  }

  function keep(state) {
    kept = state;
    find("cluster").classList.toggle("kept", kept);
  }

  // Selection -------------------------------------------------------------------------------------------------------

  let selected = [];

  function positions(wanted) {
    const found = [];
    for (let i = 0; i < n; i++) if (wanted(i)) found.push(i);
    return found;
  }

  function list(found) {
    selected = found;
    find("count").textContent = found.length.toLocaleString("en");
    find("ids").value = found.map((i) => about.ids[i]).join("\n");
    for (const id of ["copy", "save", "clear"]) find(id).disabled = !found.length;
    find("gallery").replaceChildren();
    const shown = Math.min(THUMBNAILS, found.length);
    for (let k = 0; k < shown; k++) {
      const i = found[Math.floor((k * found.length) / shown)];
      const canvas = make("canvas", undefined, find("gallery"));
      canvas.width = canvas.height = 48;
      canvas.title = about.ids[i];
      draw(canvas, i);
      canvas.addEventListener("click", () => {
        keep(true);
        show(i);
      });
    }
  }

  let ours = false;

  async function choose(found) {
    list(found);
    // Plotly calls the end of a lasso a selection of nothing.
    ours = true;
    await Plotly.update(map, { selectedpoints: [found.length ? found : null] }, { selections: [] }, [0]);
    ours = false;
  }

  function quoted(text) {
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function csv() {
    const exact = ({ names, values }, i) => {
      if (names) return names[values[i]];
      return number(values[i], values instanceof Float32Array ? 7 : 15);
    };
    const lines = [["id", ...columns.map((column) => column.name)]];
    for (const i of selected) lines.push([about.ids[i], ...columns.map((column) => exact(column, i))]);
    return lines.map((line) => line.map(quoted).join()).join("\n") + "\n";
  }

  async function copy() {
    try {
      await navigator.clipboard.writeText(find("ids").value);
    } catch {
      // Browsers that know no clipboard for local files copy what is marked.
      find("ids").select();
      document.execCommand("copy");
    }
    find("copy").textContent = "Copied";
    setTimeout(() => (find("copy").textContent = "Copy ids"), 2000);
  }

  function save() {
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.download = "selection.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  // Together --------------------------------------------------------------------------------------------------------

  for (const group of new Set(columns.map((column) => column.group))) {
    const options = make("optgroup", undefined, find("colour"));
    options.label = group;
    for (const column of columns.filter((one) => one.group === group)) make("option", column.name, options);
  }
  about.maps.forEach((layout, i) => (make("option", layout.name, find("layout")).value = i));
  find("which").hidden = about.maps.length < 2;
  find("controls").addEventListener("submit", (event) => event.preventDefault());
  find("colour").addEventListener("change", () => paint(true));
  find("log").addEventListener("change", () => paint(false));
  find("layout").addEventListener("change", () => {
    const layout = about.maps[find("layout").value];
    find("ring").hidden = true;
    const change = { x: [named.get(layout.x).values], y: [named.get(layout.y).values] };
    Plotly.update(map, change, { "xaxis.autorange": true, "yaxis.autorange": true, selections: [] }, [0]);
  });
  find("copy").addEventListener("click", copy);
  find("save").addEventListener("click", save);
  find("clear").addEventListener("click", () => choose([]));
  map.on("plotly_hover", (event) => kept || show(event.points[0].pointNumber));
  map.on("plotly_unhover", () => kept || (find("ring").hidden = true));
  map.on("plotly_click", (event) => {
    keep(!kept);
    show(event.points[0].pointNumber);
  });
  map.on("plotly_selected", (event) => ours || list(event ? event.points.map((point) => point.pointNumber) : []));
  map.on("plotly_deselect", () => ours || list([]));
  map.on("plotly_relayout", () => (find("ring").hidden = true));
  await paint(true);
  // The legend takes more or fewer lines; Plotly itself looks at the window only.
  async function fit() {
    const { width: wide, height: high } = map._fullLayout;
    if (Math.abs(map.clientWidth - wide) < 1 && Math.abs(map.clientHeight - high) < 1) return;
    find("ring").hidden = true;
    await Plotly.Plots.resize(map);
  }

  await fit();
  new ResizeObserver(fit).observe(map);
  document.body.dataset.state = "ready";
})().catch((error) => {
  const said = document.createElement("p");
  said.id = "failure";
  said.textContent = `This page could not be drawn (${error.message}); open it in a browser of 2023 or later.`;
  document.body.append(said);
  throw error;
});
