"use strict";
// Draws the charts whose specifications and data stand in the page, sorts tables, and zooms by buttons and keys.
(function () {
  function parsed(id) { return JSON.parse(document.getElementById(id).textContent); }

  function records(columns) {
    const names = Object.keys(columns), count = names.length ? columns[names[0]].length : 0, out = new Array(count);
    for (let i = 0; i < count; i++) {
      const row = {};
      for (const name of names) row[name] = columns[name][i];
      out[i] = row;
    }
    return out;
  }

  // "fill" stands for the width of the page, less what the chart reserves for axes and legends.
  function filled(value, width) {
    if (Array.isArray(value)) return value.map(each => filled(each, width));
    if (value && typeof value === "object") {
      const out = {};
      for (const key of Object.keys(value)) {
        out[key] = key === "width" && value[key] === "fill" ? width : filled(value[key], width);
      }
      return out;
    }
    return value;
  }

  const theme = document.getElementById("theme") ? parsed("theme") : {};
  const charts = Array.from(document.querySelectorAll(".chart[data-chart]"));
  const state = new Map();

  function draw(element) {
    const kept = state.get(element) || parsed("chart-" + element.dataset.chart);
    state.set(element, kept);
    const width = element.clientWidth, reserved = (kept.spec.usermeta || {}).reserved || 0;
    const pixels = Math.max(180, Math.min(width, kept.width || width) - reserved);
    const spec = filled(kept.spec, pixels);
    spec.params = [{ name: "pixels", value: pixels }].concat(spec.params || []);
    kept.drawnWidth = width;
    spec.datasets = {};
    for (const name of Object.keys(kept.data)) spec.datasets[name] = records(kept.data[name]);
    const options = {
      mode: "vega-lite", ast: true, logLevel: vega.Error, renderer: element.dataset.renderer || "canvas", config: theme, downloadFileName: element.dataset.chart,
      actions: { export: true, source: false, compiled: false, editor: false },
    };
    return vegaEmbed(element, spec, options).then(function (result) {
      kept.view = result.view;
      element.dataset.drawn = "yes";
      result.view.addEventListener("click", function (event, item) {
        const target = item && item.datum && item.datum.anchor;
        if (target && document.getElementById(target)) location.hash = encodeURI(target);
      });
    }).catch(function (error) {
      element.dataset.drawn = "failed";
      element.textContent = "This chart could not be drawn: " + error.message;
    });
  }

  // Pages within the page: of those, only the one that the address names is seen.
  const pages = Array.from(document.querySelectorAll("section[data-routes]"));
  function wanted() {
    try { return decodeURIComponent(location.hash.slice(1)); } catch (error) { return location.hash.slice(1); }
  }
  function drawLater(element) {
    element.querySelectorAll('.chart[data-drawn="later"]').forEach(each => { if (each.clientWidth) draw(each); });
  }
  function route() {
    const name = wanted(), open = pages.find(each => JSON.parse(each.dataset.routes).includes(name));
    if (!open) return;  // a link to elsewhere leaves the open page as it is
    pages.forEach(each => { each.hidden = each !== open; });
    document.querySelectorAll(".choose").forEach(each => { each.hidden = true; });
    open.scrollIntoView();
    open.querySelector("h3").focus({ preventScroll: true });
    drawLater(open);
  }
  pages.forEach(each => { each.hidden = true; });
  window.addEventListener("hashchange", route);
  route();

  // One after the other, those in sight first, so that a long page opens at once.
  const queue = charts.slice();
  const sight = "IntersectionObserver" in window ? new IntersectionObserver(function (entries) {
    for (const entry of entries) {
      const place = queue.indexOf(entry.target);
      if (entry.isIntersecting && place > 0) queue.unshift(queue.splice(place, 1)[0]);
    }
  }, { rootMargin: "300px" }) : null;
  if (sight) charts.forEach(element => sight.observe(element));
  function next() {
    const element = queue.shift();
    if (!element) { document.body.dataset.charts = "drawn"; return; }
    if (element.clientWidth === 0) { element.dataset.drawn = "later"; next(); return; }  // within something folded
    draw(element).then(function () { setTimeout(next, 0); });
  }
  setTimeout(next, 0);
  document.querySelectorAll("details.folded").forEach(function (folded) {
    folded.addEventListener("toggle", function () {
      drawLater(folded);
    });
  });
  let waiting = null;
  window.addEventListener("resize", function () {
    clearTimeout(waiting);
    waiting = setTimeout(function () {
      charts.forEach(function (element) {
        const kept = state.get(element);
        if (kept && kept.view && element.clientWidth && Math.abs(element.clientWidth - kept.drawnWidth) > 30) draw(element);
      });
    }, 250);
  });

  // Zoom: the signal of the selection that is bound to the x scale.
  const STEPS = { in: [0.25, 0.75], out: [-0.5, 1.5], left: [-0.25, 0.75], right: [0.25, 1.25] };
  function zoom(element, how, output) {
    const kept = state.get(element);
    if (!kept || !kept.view) return;
    const [parameter, field] = kept.zoom.split("."), signal = parameter + "_" + field;
    let range = kept.view.signal(signal) || kept.spec.usermeta.view;
    if (how === "all") range = kept.spec.usermeta.domain;
    else {
      const [low, high] = range, size = high - low, [from, to] = STEPS[how];
      range = [low + from * size, low + to * size];
    }
    kept.view.signal(signal, range.slice()).runAsync();
    output.textContent = range[0].toFixed(3) + " to " + range[1].toFixed(3) + " " + kept.spec.usermeta.unit;
    output.value = output.textContent;
  }
  document.querySelectorAll(".zoom").forEach(function (bar) {
    const element = document.getElementById(bar.dataset.of), output = bar.querySelector("output");
    bar.querySelectorAll("button").forEach(function (button) {
      button.addEventListener("click", () => zoom(element, button.dataset.zoom, output));
    });
    const keys = { "+": "in", "=": "in", "-": "out", ArrowLeft: "left", ArrowRight: "right", "0": "all" };
    element.addEventListener("keydown", function (event) {
      if (event.target !== element || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
      event.preventDefault();
      zoom(element, keys[event.key], output);
    });
  });

  // Tables.
  document.querySelectorAll("th button").forEach(function (button) {
    button.addEventListener("click", function () {
      const head = button.closest("th"), table = head.closest("table"), body = table.tBodies[0];
      const place = head.cellIndex, numeric = head.classList.contains("number");
      const down = head.getAttribute("aria-sort") === (numeric ? "descending" : "ascending");
      const order = numeric ? (down ? "ascending" : "descending") : (down ? "descending" : "ascending");
      const sign = order === "ascending" ? 1 : -1;
      table.querySelectorAll("th").forEach(each => each.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", order);
      const key = row => row.cells[place].dataset.sort;
      const rows = Array.from(body.rows), capped = rows.filter(row => !row.classList.contains("further")).length;
      rows.sort(function (a, b) {
        const x = key(a), y = key(b);
        if (x === "" || y === "") return (x === "") - (y === "");  // missing ones last
        return sign * (numeric ? Number(x) - Number(y) : x.localeCompare(y, "en", { numeric: true }));
      });
      rows.forEach(function (row, i) { row.classList.toggle("further", i >= capped); body.appendChild(row); });
    });
  });
  document.querySelectorAll("button[data-more]").forEach(function (button) {
    button.addEventListener("click", function () {
      document.getElementById(button.dataset.more).classList.add("all");
      button.remove();
    });
  });
  function unfold() {  // what a link points to, within something folded
    const target = location.hash && document.getElementById(wanted());
    const folded = target && target.closest("details.folded");
    if (folded && !folded.open) { folded.open = true; target.scrollIntoView(); }
  }
  window.addEventListener("hashchange", unfold);
  unfold();
})();
