// Adds a bearer token to every request that the process makes to one origin:
// the conformance suite has no flag for it. Used with node --import.
//   LYCEUM_AUTH         the Authorization header
//   LYCEUM_AUTH_ORIGIN  the origin that gets it
import http from "node:http";
import { syncBuiltinESMExports } from "node:module";
import { Agent, setGlobalDispatcher } from "undici";

const value = process.env.LYCEUM_AUTH;
const origin = process.env.LYCEUM_AUTH_ORIGIN;

const real = globalThis.fetch;
globalThis.fetch = (input, init = {}) => {
  const url = new URL(typeof input === "string" || input instanceof URL ? input : input.url);
  if (url.origin !== origin) return real(input, init);
  const from = init.headers ?? (input instanceof Request ? input.headers : undefined);
  if (Array.isArray(from) || (from && !(from instanceof Headers))) {
    // Keep the caller's spelling of header names: some scenarios are about it.
    const pairs = Array.isArray(from) ? from : Object.entries(from);
    if (!pairs.some(([k]) => k.toLowerCase() === "authorization")) {
      return real(input, { ...init, headers: [...pairs, ["Authorization", value]] });
    }
    return real(input, init);
  }
  const headers = new Headers(from);
  if (!headers.has("authorization")) headers.set("authorization", value);
  return real(input, { ...init, headers });
};

// Some scenarios use undici's request, with headers as an object.
setGlobalDispatcher(
  new Agent().compose((dispatch) => (options, handler) => {
    const named = Array.isArray(options.headers)
      ? options.headers.some((h, i) => i % 2 === 0 && String(h).toLowerCase() === "authorization")
      : Object.keys(options.headers ?? {}).some((h) => h.toLowerCase() === "authorization");
    if (String(options.origin) === origin && !named) {
      options = {
        ...options,
        headers: Array.isArray(options.headers) ? [...options.headers, "Authorization", value] : { ...options.headers, Authorization: value },
      };
    }
    return dispatch(options, handler);
  }),
);

// Others use node:http, to spell header names as they like.
const request = http.request;
http.request = (...args) => {
  const req = request(...args);
  if (origin.endsWith(`//${req.getHeader("host")}`) && !req.getHeader("authorization")) req.setHeader("Authorization", value);
  return req;
};
syncBuiltinESMExports();
