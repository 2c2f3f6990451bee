// What a compiled file says of itself. ONNX Runtime's JavaScript packages do not hand it out, so it is read from the
// file: an ONNX model is one protobuf message, and its field 14 holds pairs of texts, key = 1 and value = 2.

const KEY = "dff.compiled";
const FORMAT = "dff-onnx/compiled/1";
const METADATA_PROPS = 14;
const LENGTH_DELIMITED = 2;
const FIXED_BYTES = { 1: 8, 5: 4 };

/** The fields of one protobuf message whose values are bytes, as `[number, bytes]`; all others are skipped. */
function* fieldsOf(bytes) {
  let at = 0;
  const varint = () => {
    for (let value = 0, scale = 1; at < bytes.length && scale < 2 ** 70; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new Error("is no ONNX file, or is cut short");
  };
  while (at < bytes.length) {
    const tag = varint();
    const [number, type] = [Math.floor(tag / 8), tag % 8];
    if (type === 0) varint();
    else {
      const length = type === LENGTH_DELIMITED ? varint() : FIXED_BYTES[type];
      if (!number || !(length <= bytes.length - at)) throw new Error("is no ONNX file, or is cut short");
      if (type === LENGTH_DELIMITED) yield [number, bytes.subarray(at, at + length)];
      at += length;
    }
  }
}

function textOf(bytes) {
  const text = (part) => new TextDecoder().decode(part);
  for (const [number, pair] of fieldsOf(bytes)) {
    if (number !== METADATA_PROPS) continue;
    const fields = new Map(fieldsOf(pair));
    if (fields.has(1) && text(fields.get(1)) === KEY) return text(fields.get(2) ?? new Uint8Array());
  }
  throw new Error("was not compiled by dff-onnx: make one with `dff-onnx compile`");
}

function canBe({ number, name, colour }, place) {
  return number === place && (name === null || typeof name === "string") && /^#[0-9a-f]{6}$/.test(colour);
}

/**
 * What the bytes of a compiled file say: `kind`, `k`, `concepts`, `resize`, `limit`, and more.
 *
 * Throws an Error whose message continues a sentence that begins with the name of the file.
 */
export function compiledOf(bytes) {
  const text = textOf(bytes);
  try {
    const about = JSON.parse(text);
    if (about.format !== FORMAT) throw new Error(`it is of format ${about.format}, and ${FORMAT} is known here`);
    about.resize ??= { mode: "square", pixels: 224 };
    const { pixels } = about.resize;
    if (!about.concepts.every(canBe) || !(pixels >= 32 && pixels <= 8192)) throw new Error("a value cannot be");
    return about;
  } catch (error) {
    throw new Error(`says things of itself that cannot be read (${error.message}); compile it again`);
  }
}
