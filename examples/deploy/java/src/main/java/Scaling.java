/** Pillow's bilinear filter, in its integers: a picture has the same pixels here as in Python. */
final class Scaling {
  private static final int PRECISION = 22; // bits of a weight behind the point
  private static final int SMALLEST = 32;
  private static final int LARGEST = 8192;

  private Scaling() {}

  /** The length that a side of this length becomes, beside the whole picture's width and height. */
  static int wanted(String mode, int pixels, int length, int width, int height) {
    if (mode.equals("square")) {
      return pixels;
    }
    int side = mode.equals("short") ? Math.min(width, height) : Math.max(width, height);
    double scaled = Math.rint((double) length * pixels / side); // halves to the even one, as Python rounds
    return (int) Math.min(Math.max(scaled, SMALLEST), LARGEST);
  }

  /** RGB bytes at another size; a picture that has the size already comes out untouched. */
  static byte[] scaled(byte[] rgb, int width, int height, int wide, int tall) {
    byte[] across = lines(rgb, width, wide, height, 3, 3 * width, 3, 3 * wide);
    return lines(across, height, tall, wide, 3 * wide, 3, 3 * wide, 3);
  }

  /** Scales lines of `from` pixels to `to`; steps lead to the next pixel and to the next line, before and after. */
  private static byte[] lines(
      byte[] rgb, int from, int to, int lines, int pixelStep, int lineStep, int pixelStepAfter, int lineStepAfter) {
    byte[] made = new byte[3 * to * lines];
    double scale = (double) from / to;
    double support = Math.max(scale, 1);
    for (int place = 0; place < to; place++) {
      double centre = (place + 0.5) * scale;
      int first = Math.max((int) (centre - support + 0.5), 0);
      int[] weights = weights(first, Math.min((int) (centre + support + 0.5), from), centre, support);
      for (int line = 0; line < lines; line++) {
        for (int colour = 0; colour < 3; colour++) {
          int sum = 1 << (PRECISION - 1);
          for (int i = 0; i < weights.length; i++) {
            sum += (rgb[line * lineStep + (first + i) * pixelStep + colour] & 255) * weights[i];
          }
          made[line * lineStepAfter + place * pixelStepAfter + colour] = (byte) (sum >> PRECISION);
        }
      }
    }
    return made;
  }

  private static int[] weights(int first, int end, double centre, double support) {
    double[] exact = new double[end - first];
    double sum = 0;
    for (int i = 0; i < exact.length; i++) {
      exact[i] = Math.max(1 - Math.abs((first + i - centre + 0.5) / support), 0);
      sum += exact[i];
    }
    int[] weights = new int[exact.length];
    for (int i = 0; i < exact.length; i++) {
      weights[i] = (int) (0.5 + exact[i] / sum * (1 << PRECISION));
    }
    return weights;
  }
}
