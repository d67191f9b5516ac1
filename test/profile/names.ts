/**
 * What of the language's library the profile allows ("ES5-MCU", see ARCHITECTURE.md): the part that every engine has and
 * that needs no object on the heap. Everything else is forbidden, so a new name is added here only after it was tried on
 * Espruino, MicroQuickJS, Duktape, JerryScript, QuickJS and XS.
 */

const TYPED_ARRAYS = [
  "Int8Array",
  "Uint8Array",
  "Int16Array",
  "Uint16Array",
  "Int32Array",
  "Uint32Array",
  "Float64Array",
];

const ARRAY =
  "length push pop shift unshift slice splice concat join indexOf reverse sort forEach map filter some every reduce";
const CALL = "call apply";

/** Global names that may be read. */
export const GLOBALS = new Set([
  ...TYPED_ARRAYS,
  ..."undefined NaN Infinity isNaN isFinite parseInt parseFloat".split(" "),
  ..."Object Array String Number Boolean Error ArrayBuffer Math".split(" "),
]);

/** Members that may be used, by the library's interface that declares them. */
export const MEMBERS: Record<string, Set<string>> = {
  Array: words(ARRAY),
  ReadonlyArray: words(ARRAY),
  ArrayConstructor: words("isArray"),
  ArrayBuffer: words("byteLength"),
  CallableFunction: words(CALL),
  Error: words("name message"),
  Function: words(CALL + " prototype"),
  Math: words("abs ceil exp floor log max min pow round sqrt PI"),
  Number: words("toString"),
  Object: words("hasOwnProperty"),
  ObjectConstructor: words("keys prototype"),
  String: words(
    "length charAt charCodeAt indexOf lastIndexOf substring substr slice split concat toLowerCase toUpperCase trim toString",
  ),
  StringConstructor: words("fromCharCode"),
};
for (const name of TYPED_ARRAYS) MEMBERS[name] = words("length set subarray buffer byteOffset byteLength");

/** Whether `name` is the name of a typed array's class. */
export function isTypedArray(name: string): boolean {
  return TYPED_ARRAYS.includes(name);
}

/**
 * Methods of strings, arrays and typed arrays that came after ES5. In a bundle, where types are gone, a call of one of
 * these names is suspect unless the bundle defines a method of that name itself.
 */
export const LATE_METHODS = words(
  "at codePointAt copyWithin endsWith fill find findIndex findLast flat flatMap includes lastIndexOf localeCompare " +
    "match matchAll normalize padEnd padStart reduceRight repeat replace replaceAll search startsWith toFixed " +
    "toLocaleString toPrecision toReversed toSorted trimEnd trimStart bind defineProperty isPrototypeOf " +
    "propertyIsEnumerable __defineGetter__ __defineSetter__ __lookupGetter__",
);

function words(list: string): Set<string> {
  return new Set(list.split(" "));
}
