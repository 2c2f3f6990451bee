import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A compiled bank: what it says of itself, and what it finds in a picture. */
final class Model implements AutoCloseable {
  /** Names of the concepts, by number. */
  final List<String> names = new ArrayList<>();

  /** A picture of more loss is not explained by the concepts. */
  final double limit;

  /** How large pictures should be: `square`, `short` or `long`, and the pixels of that side. */
  final String mode;
  final int pixels;

  private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
  private final OrtSession session;
  private final String boxes;

  /** What was found in one picture; boxes are x0, y0, x1, y1, half-open, zeros where a concept is nowhere. */
  record Found(float loss, float[] scores, int[][] boxes, float[][][] heatmaps) {}

  Model(String path) throws OrtException {
    session = environment.createSession(path, new OrtSession.SessionOptions());
    String text =
        session
            .getMetadata()
            .getCustomMetadataValue("dff.compiled")
            .orElseThrow(() -> new IllegalArgumentException(path + ": was not compiled by dff-onnx"));
    JsonObject about = JsonParser.parseString(text).getAsJsonObject();
    if (!about.get("kind").getAsString().equals("concepts")) {
      throw new IllegalArgumentException(path + ": holds no concepts of a bank");
    }
    for (JsonElement one : about.getAsJsonArray("concepts")) {
      JsonElement name = one.getAsJsonObject().get("name");
      names.add(name.isJsonNull() ? "concept " + names.size() : name.getAsString());
    }
    JsonElement most = about.get("limit");
    limit = most.isJsonNull() ? Double.POSITIVE_INFINITY : most.getAsDouble();
    JsonElement resize = about.get("resize");
    mode = resize.isJsonNull() ? "square" : resize.getAsJsonObject().get("mode").getAsString();
    pixels = resize.isJsonNull() ? 224 : resize.getAsJsonObject().get("pixels").getAsInt();
    boxes = about.get("boxes").getAsString().equals("masks") ? "mask_boxes" : "boxes";
  }

  /** Looks at RGB bytes, row by row. */
  Found look(byte[] rgb, int width, int height) throws OrtException {
    ByteBuffer buffer = ByteBuffer.allocateDirect(rgb.length);
    buffer.put(rgb).rewind();
    long[] shape = {1, height, width, 3};
    try (OnnxTensor image = OnnxTensor.createTensor(environment, buffer, shape, OnnxJavaType.UINT8);
        OrtSession.Result found = session.run(Map.of("image", image))) {
      return new Found(
          ((float[]) value(found, "loss"))[0],
          ((float[][]) value(found, "scores"))[0],
          ((int[][][]) value(found, boxes))[0],
          ((float[][][][]) value(found, "heatmaps"))[0]);
    }
  }

  private static Object value(OrtSession.Result found, String output) throws OrtException {
    return found.get(output).orElseThrow(() -> new IllegalArgumentException("no output " + output)).getValue();
  }

  @Override
  public void close() throws OrtException {
    session.close();
  }
}
