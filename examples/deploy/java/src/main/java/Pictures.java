import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.File;
import java.io.IOException;
import javax.imageio.ImageIO;

/** Files as pixels, and heat maps as files. */
final class Pictures {
  private Pictures() {}

  /** Red, green, blue, row by row. */
  record Pixels(byte[] rgb, int width, int height) {}

  /** Decodes a picture and scales it as the compiled file wants it; what is transparent becomes white. */
  static Pixels read(File file, String mode, int pixels) throws IOException {
    BufferedImage picture = ImageIO.read(file);
    if (picture == null) {
      throw new IOException(file + ": is no picture of a known format");
    }
    int width = picture.getWidth();
    int height = picture.getHeight();
    int wide = Scaling.wanted(mode, pixels, width, width, height);
    int tall = Scaling.wanted(mode, pixels, height, width, height);
    return new Pixels(Scaling.scaled(rgb(picture), width, height, wide, tall), wide, tall);
  }

  /** Writes a heat map as grey levels: 0 is black, 1 and more is white. */
  static void write(float[][] heat, File file) throws IOException {
    BufferedImage picture = new BufferedImage(heat[0].length, heat.length, BufferedImage.TYPE_INT_RGB);
    for (int y = 0; y < heat.length; y++) {
      for (int x = 0; x < heat[y].length; x++) {
        int level = Math.min(Math.max(Math.round(255 * heat[y][x]), 0), 255);
        picture.setRGB(x, y, level << 16 | level << 8 | level);
      }
    }
    ImageIO.write(picture, "png", file);
  }

  private static byte[] rgb(BufferedImage picture) {
    int width = picture.getWidth();
    int height = picture.getHeight();
    BufferedImage white = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
    Graphics2D graphics = white.createGraphics();
    graphics.drawImage(picture, 0, 0, Color.WHITE, null);
    graphics.dispose();
    int[] packed = white.getRGB(0, 0, width, height, null, 0, width);
    byte[] bytes = new byte[3 * packed.length];
    for (int place = 0; place < packed.length; place++) {
      bytes[3 * place] = (byte) (packed[place] >> 16);
      bytes[3 * place + 1] = (byte) (packed[place] >> 8);
      bytes[3 * place + 2] = (byte) packed[place];
    }
    return bytes;
  }
}
