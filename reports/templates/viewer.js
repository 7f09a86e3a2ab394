// Bodies as meshes that can be turned, in plain WebGL. Each figure holds its faces and vertices as base64 (viewer.py).
const VERTEX = `
attribute vec3 place, normal; uniform mat3 turn; uniform vec3 shift; uniform vec4 lens; varying vec3 n;
void main() {
  vec3 p = turn * place + shift;
  n = turn * normal;
  gl_Position = vec4(p.xy * lens.xy, p.z * lens.z + lens.w, -p.z);
}`;
const FRAGMENT = `
precision mediump float; varying vec3 n;
void main() {
  vec3 u = normalize(n);
  float sky = 0.34 + 0.16 * u.y;
  float key = 0.78 * max(dot(u, normalize(vec3(-0.45, 0.65, 0.62))), 0.0);
  float fill = 0.18 * max(dot(u, normalize(vec3(0.85, 0.15, 0.5))), 0.0);
  vec3 light = vec3(0.24, 0.39, 0.58) * (sky + key + fill);
  gl_FragColor = vec4(pow(min(light, 1.0), vec3(1.0 / 2.2)), 1.0);
}`;
const FIELD = Math.tan(15 * Math.PI / 180), NEAR = 0.05, FAR = 60;

const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer;

function meshOf(text, unit, faces) {
  const place = Float32Array.from(new Int16Array(bytes(text)), v => v * unit), normal = new Float32Array(place.length);
  for (let f = 0; f < faces.length; f += 3) {
    const [a, b, c] = [3 * faces[f], 3 * faces[f + 1], 3 * faces[f + 2]];
    const ux = place[b] - place[a], uy = place[b + 1] - place[a + 1], uz = place[b + 2] - place[a + 2];
    const wx = place[c] - place[a], wy = place[c + 1] - place[a + 1], wz = place[c + 2] - place[a + 2];
    const x = uy * wz - uz * wy, y = uz * wx - ux * wz, z = ux * wy - uy * wx;
    for (const v of [a, b, c]) { normal[v] += x; normal[v + 1] += y; normal[v + 2] += z; }
  }
  for (let v = 0; v < normal.length; v += 3) {
    const length = Math.hypot(normal[v], normal[v + 1], normal[v + 2]) || 1;
    normal[v] /= length; normal[v + 1] /= length; normal[v + 2] /= length;
  }
  return { place, normal };
}

function painter(canvas, faces) {
  const gl = canvas.getContext("webgl", { alpha: true, antialias: true });
  if (!gl) return null;
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return null;
  gl.useProgram(program);
  gl.enable(gl.DEPTH_TEST);
  gl.enable(gl.CULL_FACE);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, faces, gl.STATIC_DRAW);
  const stores = ["place", "normal"].map(name => [name, gl.getAttribLocation(program, name), gl.createBuffer()]);
  const spot = name => gl.getUniformLocation(program, name);
  const turn = spot("turn"), shift = spot("shift"), lens = spot("lens");
  return {
    load(mesh) {
      for (const [name, location, store] of stores) {
        gl.bindBuffer(gl.ARRAY_BUFFER, store);
        gl.bufferData(gl.ARRAY_BUFFER, mesh[name], gl.STATIC_DRAW);
        gl.enableVertexAttribArray(location);
        gl.vertexAttribPointer(location, 3, gl.FLOAT, false, 0, 0);
      }
    },
    draw(view) {
      const scale = Math.min(devicePixelRatio || 1, 2);
      const width = Math.max(1, Math.round(canvas.clientWidth * scale));
      const height = Math.max(1, Math.round(canvas.clientHeight * scale));
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      const aspect = canvas.width / canvas.height, field = FIELD / Math.min(aspect, 1);
      const [cy, sy, cp, sp] = [Math.cos(view.yaw), Math.sin(view.yaw), Math.cos(view.pitch), Math.sin(view.pitch)];
      gl.uniformMatrix3fv(turn, false, [cy, sp * sy, -cp * sy, 0, cp, sp, sy, -sp * cy, cp * cy]);
      gl.uniform3f(shift, view.x, view.y, -view.distance);
      gl.uniform4f(lens, 1 / (field * aspect), 1 / field, (FAR + NEAR) / (NEAR - FAR), 2 * FAR * NEAR / (NEAR - FAR));
      gl.drawElements(gl.TRIANGLES, faces.length, gl.UNSIGNED_SHORT, 0);
    },
  };
}

for (const figure of document.querySelectorAll("figure.viewer")) {
  const data = JSON.parse(figure.querySelector("script").textContent), faces = new Uint16Array(bytes(data.faces));
  const canvas = figure.querySelector("canvas"), still = figure.querySelector(".still");
  const cards = [...figure.querySelectorAll("button.card")], meshes = new Map();
  const start = { yaw: 0, pitch: 0, x: 0, y: 0, distance: 1.15 * 32767 * data.unit / FIELD };
  const view = { ...start };
  let paint = painter(canvas, faces), chosen = -1, waiting = false;

  const show = () => {
    if (waiting || !paint || canvas.hidden) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; paint.draw(view); });
  };
  const choose = index => {
    chosen = (index + cards.length) % cards.length;
    cards.forEach((card, i) => card.setAttribute("aria-pressed", i === chosen));
    const card = cards[chosen];
    const solid = paint && chosen < data.meshes.length;
    const why = solid ? [] : [paint ? "picture only: too many bodies for one page" : "picture only: no WebGL here"];
    figure.querySelector(".chosen b").textContent = card.querySelector("b").textContent;
    figure.querySelector(".chosen span").textContent = [card.dataset.note, ...why].join(" · ");
    canvas.hidden = !solid;
    still.hidden = !!solid;
    still.src = card.querySelector("img").src;
    for (const button of figure.querySelectorAll("[data-turn]")) button.hidden = !solid;
    if (!solid) return;
    if (!meshes.has(chosen)) meshes.set(chosen, meshOf(data.meshes[chosen], data.unit, faces));
    paint.load(meshes.get(chosen));
    show();
  };
  const turnBy = (x, y) => {
    view.yaw += x;
    view.pitch = Math.max(-1.57, Math.min(1.57, view.pitch + y));
  };
  const zoomBy = factor => { view.distance = Math.max(0.4, Math.min(4 * start.distance, view.distance * factor)); };
  const moveBy = (x, y) => {
    const step = 2 * FIELD * view.distance / Math.min(canvas.clientHeight, canvas.clientWidth);
    view.x += x * step;
    view.y -= y * step;
  };

  cards.forEach((card, index) => card.addEventListener("click", () => choose(index)));
  for (const button of figure.querySelectorAll(".tools button")) button.addEventListener("click", () => {
    if (button.dataset.step) {
      choose(chosen + Number(button.dataset.step));
      const list = figure.querySelector(".thumbs"), card = cards[chosen];
      list.scrollTo(card.offsetLeft - list.offsetLeft - 40, card.offsetTop - list.offsetTop - 40);
    } else Object.assign(view, start, { yaw: -Number(button.dataset.turn) * Math.PI / 180 });
    show();
  });

  const fingers = new Map();
  canvas.addEventListener("pointerdown", event => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
  });
  for (const name of ["pointerup", "pointercancel"])
    canvas.addEventListener(name, event => fingers.delete(event.pointerId));
  canvas.addEventListener("pointermove", event => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY], dx = now[0] - before[0], dy = now[1] - before[1];
    if (fingers.size === 2) {
      const [, other] = [...fingers].find(([id]) => id !== event.pointerId);
      const apart = point => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
      zoomBy(apart(before) / apart(now));
      moveBy(dx / 2, dy / 2);
    } else if (event.shiftKey) moveBy(dx, dy);
    else turnBy(dx * 0.01, dy * 0.01);
    fingers.set(event.pointerId, now);
    show();
  });
  canvas.addEventListener("wheel", event => {
    event.preventDefault();
    zoomBy(Math.exp(event.deltaY * (event.deltaMode ? 0.04 : 0.0012)));
    show();
  }, { passive: false });
  canvas.addEventListener("dblclick", () => { Object.assign(view, start); show(); });
  canvas.addEventListener("keydown", event => {
    const act = {
      ArrowLeft: () => turnBy(-0.15, 0), ArrowRight: () => turnBy(0.15, 0),
      ArrowUp: () => turnBy(0, -0.15), ArrowDown: () => turnBy(0, 0.15),
      "+": () => zoomBy(0.9), "=": () => zoomBy(0.9), "-": () => zoomBy(1 / 0.9), 0: () => Object.assign(view, start),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
    show();
  });
  canvas.addEventListener("webglcontextlost", event => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", () => { paint = painter(canvas, faces); choose(chosen); });
  new ResizeObserver(show).observe(canvas);
  choose(0);
}
