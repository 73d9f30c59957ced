// Draws the charts, and lets a figure's inputs choose what its charts show.
"use strict";

// What is chosen in a control: a list of values, or for a switch whether it is on.
function chosen(control) {
  const inputs = [...control.querySelectorAll("input")];
  if (control.dataset.kind === "switch") return inputs[0].checked;
  return inputs.filter((input) => input.checked).map((input) => JSON.parse(input.value));
}

// A control hides the panels that are not for what is chosen, and sets the charts' parameter.
function apply(figure, views) {
  const controls = [...figure.querySelectorAll(".control")];
  for (const panel of figure.querySelectorAll(".panel")) {
    panel.hidden = controls.some((control) => {
      const value = panel.dataset[control.dataset.name];
      return value !== undefined && !chosen(control).map(String).includes(value);
    });
  }
  for (const view of views) {
    const parameters = Object.keys(view.getState().signals);
    for (const control of controls) {
      if (parameters.includes(control.dataset.name)) {
        view.signal(control.dataset.name, chosen(control));
      }
    }
    view.runAsync();
  }
  // A chart that was hidden has not seen its width yet.
  window.dispatchEvent(new Event("resize"));
}

async function draw(panel) {
  const spec = JSON.parse(panel.querySelector("script").textContent);
  const options = {
    mode: "vega-lite",
    renderer: "svg",
    actions: false,
    tooltip: { theme: "page", disableDefaultStyle: true },
  };
  return (await vegaEmbed(panel.querySelector(".chart"), spec, options)).view;
}

async function start() {
  for (const figure of document.querySelectorAll("figure")) {
    const views = await Promise.all([...figure.querySelectorAll(".panel")].map(draw));
    figure.addEventListener("change", () => apply(figure, views));
    // A browser that goes back keeps what was chosen.
    apply(figure, views);
  }
  document.documentElement.dataset.drawn = "";
}

start();
